-- name: open
-- The page of voucher $2 of campaign $1 is open from now on, for $3 ms; until when. At most $4 pages of others that were
-- left open till their end are taken out, so there are never many more rows than pages that were open at one time.
with ended as materialized (
    select campaign_no, code from code_pages
    where open_until <= statement_timestamp() and (campaign_no, code) <> ($1, $2)
    order by open_until limit $4
    for update skip locked
), gone as (
    delete from code_pages p using ended e where p.campaign_no = e.campaign_no and p.code = e.code
)
insert into code_pages values ($1, $2, statement_timestamp() + $3::bigint * interval '1 millisecond')
on conflict (campaign_no, code) do update set open_until = excluded.open_until
returning open_until

-- name: close
delete from code_pages where campaign_no = $1 and code = $2

-- name: open_of
-- Until when the pages of these vouchers ($1 campaigns, $2 codes) are open, where they are or were a moment ago.
select p.campaign_no, p.code, p.open_until
from unnest($1::integer[], $2::text[]) as asked (campaign_no, code)
join code_pages p using (campaign_no, code)
