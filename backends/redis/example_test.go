package redis_test

import (
	"context"
	"log"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/tasks"
)

func ExampleOpen() {
	ctx := context.Background()
	app := tasks.NewApp()
	store, err := redis.Open(ctx, redis.Options{URL: "redis://localhost:6379/0", Namespace: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	if err := app.Use("default", store); err != nil {
		log.Fatal(err)
	}
	defer app.Close(ctx)
}

// A client that the program has for other things is lent to the backend. A Cluster's or a
// Sentinel's is lent in the same way.
func ExampleNew() {
	client := goredis.NewClient(&goredis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
	defer client.Close()
	store, err := redis.New(client, nil)
	if err != nil {
		log.Fatal(err)
	}
	app := tasks.NewApp()
	if err := app.Use("default", store); err != nil {
		log.Fatal(err)
	}
	defer app.Close(context.Background())
}
