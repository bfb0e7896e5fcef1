// Package database keeps tasks in PostgreSQL, 14 or later, by way of pgx: for services of
// many processes, with the tasks beside their data and in the same transactions.
//
//	store, err := database.Open(ctx, database.Options{URL: "postgres://app@db/app", Migrate: true})
//	err = app.Use("default", store)
//
// or, from configuration, {"default": {"url": "postgres://app@db/app?migrate=true"}}.
package database
