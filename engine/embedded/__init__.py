"""Dropwave on one machine: Redis, Postgres and all roles as child processes of one command.

`redis` and `postgres` start real servers in a folder of their own, with the configuration that production uses too
(deploy/); `up` starts them, migrates, starts the roles, and stops everything in order. The command line and the tests
call it. It never stops a process that it did not start, and it speaks neither Redis nor SQL beyond what tells it that
a server answers.
"""
