-- Counts one part of a chord.
-- ARGV     the 8 values of count_part
-- Returns  1 counted (or closed already), 2 complete and ours, 3 complete and another's
return count_part(unpack(ARGV))
