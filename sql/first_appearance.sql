-- Which labels are new: when each was first seen since a day, the latest to appear first.
-- Parameter: the first day to look at ('2026-11-01').
SELECT metricName, destinationCategory, label, min("timestamp") AS first_seen, max("timestamp") AS last_seen,
  max(value) AS peak, max(unit) AS unit
FROM results
WHERE "date" >= ?
GROUP BY metricName, destinationCategory, label
ORDER BY first_seen DESC, label
LIMIT 100
