-- name: server_settings
select name, setting from pg_settings where name = any($1::text[])

-- name: answers
select 1
