-- The steps of a batch come as rows of one array instead of an array for each of 26 columns: a gateway binds them in a
-- third of the time, and Postgres reads them in half of it (decision 33). The function of 0005 stays beside it for
-- gateways that have not been replaced yet.
create type asked_voucher_step as (
    campaign_no integer, code text, step integer, kept text, kind text, at timestamptz, offer_no smallint,
    terms_version integer, request uuid, digest bytea, request_no text, merchant text, store text, clerk text,
    order_no text, payment_no text, payment_place smallint, amount bigint, discount bigint, lines jsonb, day date,
    until timestamptz, of_step integer, by text, is_completed boolean,
    before timestamptz
);

-- The one statement that decides, as in 0005.
create function take_voucher_steps(steps asked_voucher_step[])
returns table (campaign_no integer, code text)
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
#variable_conflict use_column
begin
    return query
    with asked as materialized (
        select a.* from unnest(steps) as a
    ), moved as (
        update vouchers v
        set state = a.kept, step = a.step, made_by = case a.kind when 'refund' then a.of_step else a.step end,
            is_hidden = v.is_hidden and a.kind <> 'give_back'  -- its holder had hidden a card that was used
        from asked a
        where v.campaign_no = a.campaign_no and v.code = a.code and v.step = a.step - 1
          and (a.before is null or statement_timestamp() < a.before)
        returning v.campaign_no, v.code
    ), freed as (  -- what is given back leaves its payment to another voucher
        update voucher_steps s set payment_place = null
        from asked a join moved using (campaign_no, code)
        where a.kind = 'give_back' and s.campaign_no = a.campaign_no and s.code = a.code and s.step = a.of_step
    )
    insert into voucher_steps (campaign_no, code, step, kind, at, offer_no, terms_version, request, digest, request_no,
                               merchant, store, clerk, order_no, payment_no, payment_place, amount, discount, lines, day,
                               until, of_step, by, is_completed)
    select a.campaign_no, a.code, a.step, a.kind, a.at, a.offer_no, a.terms_version, a.request, a.digest, a.request_no,
           a.merchant, a.store, a.clerk, a.order_no, a.payment_no, a.payment_place, a.amount, a.discount, a.lines, a.day,
           a.until, a.of_step, a.by, a.is_completed
    from asked a join moved using (campaign_no, code)
    returning campaign_no, code;
end
$$;
