-- Carries out writes, in order.
-- ARGV     for each write its kind and three values
-- Returns  nothing
for i = 1, #ARGV, 4 do write(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]) end
