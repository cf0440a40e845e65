-- What grew since the week before: the sums of both weeks by label.
-- Parameters, three days: the first of this week, the first of the week before, and the first after this week.
SELECT metricName, destinationCategory, unit, label,
  sum(CASE WHEN this_week THEN value ELSE 0 END) AS this_week,
  sum(CASE WHEN this_week THEN 0 ELSE value END) AS week_before,
  sum(CASE WHEN this_week THEN value ELSE -value END) AS growth
FROM (
  SELECT metricName, destinationCategory, unit, label, "timestamp", "date" >= ? AS this_week, max(value) AS value
  FROM results
  WHERE "date" >= ? AND "date" < ?
  GROUP BY metricName, destinationCategory, unit, label, "timestamp", "date"
) AS points
GROUP BY metricName, destinationCategory, unit, label
ORDER BY growth DESC, label
LIMIT 100
