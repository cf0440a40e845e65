-- Who contributed most in a window: the sum and the peak by label.
-- Parameters: the first and the last day on which the windows of the queries begin ('2026-11-24'),
-- then the moments from which and before which points count ('2026-11-24T08:00:00Z').
SELECT metricName, destinationCategory, unit, label, sum(value) AS total, max(value) AS peak, count(*) AS points
FROM (
  SELECT metricName, destinationCategory, unit, label, "timestamp", max(value) AS value -- windows may overlap
  FROM results
  WHERE "date" BETWEEN ? AND ? AND "timestamp" >= ? AND "timestamp" < ?
  GROUP BY metricName, destinationCategory, unit, label, "timestamp"
) AS points
GROUP BY metricName, destinationCategory, unit, label
ORDER BY total DESC, label
LIMIT 100
