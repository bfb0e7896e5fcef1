package database

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sideman-go/sideman/tasks"
)

// Driver opens databases from configuration, under the name "database" and by URLs of
// the schemes "postgres" and "postgresql". The options are those of Options; in the query
// of the URL they may stand beside the parameters of libpq, pgx and pgxpool.
func Driver() tasks.Driver {
	return tasks.Driver{Name: "database", Schemes: []string{"postgres", "postgresql"}, Configure: configure}
}

// connectParameters returns the parameters of a URL that are for pgx. It takes any
// other for a setting of the server without a word, so a misspelt option of ours would
// go unnoticed: what is in neither list is a fault.
func connectParameters() []string {
	return []string{
		"application_name", "channel_binding", "client_encoding", "connect_timeout", "database", "dbname",
		"default_query_exec_mode", "description_cache_capacity", "fallback_application_name", "host", "hostaddr",
		"keepalives", "krbspn", "krbsrvname", "max_protocol_version", "min_protocol_version", "options", "passfile", "password",
		"pool_health_check_period", "pool_max_conn_idle_time", "pool_max_conn_lifetime", "pool_max_conn_lifetime_jitter",
		"pool_max_conns", "pool_min_conns", "pool_min_idle_conns", "pool_ping_timeout", "port", "require_auth",
		"search_path", "service", "servicefile", "sslcert", "sslinline", "sslkey", "sslmode", "sslnegotiation", "sslpassword",
		"sslrootcert", "sslsni", "statement_cache_capacity", "statement_timeout", "target_session_attrs", "timezone", "user",
	}
}

func configure(s tasks.Settings) (tasks.Opener, error) {
	var o Options
	var faults []error
	given := ""
	if s.URL != nil {
		ours, theirs, err := splitURL(s.URL)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s.url: %w", s.Alias, err))
		}
		s.URL, given = ours, theirs
	}
	err := s.Decode(&o)
	faults = append(faults, err)
	switch {
	case given == "":
	case o.URL != "" && o.URL != given:
		faults = append(faults, fmt.Errorf("%s: there is a url and an option url, and they differ", s.Alias))
	default:
		o.URL = given
	}
	if err == nil {
		faults = append(faults, o.faults(true, s.At)...)
		if _, err := pgxpool.ParseConfig(o.URL); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", s.At("url"), err)) // pgx makes passwords unreadable
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (tasks.Backend, error) {
		b, err := Open(ctx, o)
		if err != nil {
			return nil, err // not b: a nil *Backend in an interface isn't nil
		}
		return b, nil
	}, nil
}

// splitURL returns the URL with the query that is for Options, and the URL for pgx.
func splitURL(u *url.URL) (ours *url.URL, theirs string, err error) {
	if u.Opaque != "" || u.Fragment != "" {
		return u, "", errors.New("write it as postgres://user:password@host:5432/database")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return u, "", errors.New("the query can't be parsed")
	}
	if _, ok := query["url"]; ok {
		return u, "", errors.New("has itself a parameter url")
	}
	connect := make(url.Values)
	for name, values := range query {
		if slices.Contains(connectParameters(), strings.ToLower(name)) {
			connect[name] = values
			delete(query, name)
		}
	}
	mine, pgx := *u, *u
	mine.RawQuery, pgx.RawQuery = query.Encode(), connect.Encode()
	return &mine, pgx.String(), nil
}
