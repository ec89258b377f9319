-- Extends our claim of a chord, or takes it again if it ran out.
-- ARGV     1 the chord's base key, 2 our token, 3 seconds
-- Returns  1, or 0 if it is another's or closed
return keep_claim(ARGV[1], ARGV[2], ARGV[3])
