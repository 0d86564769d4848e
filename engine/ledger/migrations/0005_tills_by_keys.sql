-- The two statements of a till, as functions for the sake of how Postgres plans them, and of nothing else (decision 27).
-- A plan goes by what statistics say of the tables, which are a minute old at the best: after a drop they say that there
-- are no vouchers, and a look read all of a campaign's for each that was asked for. These may only be planned by keys:
-- as good for ten vouchers as for ten million, and made once for each connection. What is decided is decided elsewhere.

-- What the books say to what tills ask (ledger/voucher_steps.py); of payments, empty is none.
create function look_up_vouchers(codes text[], requests uuid[], merchants text[], payments text[])
returns table (
    asked_code text, asked_merchant text, asked_request uuid,
    now timestamptz, campaign_no integer, campaign text,
    valid_from timestamptz, expires_at timestamptz, state text, step integer, is_hidden boolean,
    wave_no smallint, offer_no smallint, terms_version integer, claimed_at timestamptz, account text,
    made_kind text, made_at timestamptz, made_merchant text, made_store text,
    made_order_no text, made_reason text, made_until timestamptz, made_step integer,
    quarantined text, ended_reason text, ended_at timestamptz,
    places smallint[],
    known_campaign_no integer, known_code text, known_step integer, known_kind text,
    known_at timestamptz, known_digest bytea, known_offer_no smallint,
    known_terms_version integer, known_request_no text,
    known_store text, known_clerk text,
    known_order_no text, known_payment_no text, known_amount bigint,
    known_discount bigint, known_lines jsonb, known_until timestamptz,
    known_of_step integer, known_by text, known_is_completed boolean
)
language plpgsql stable
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
#variable_conflict use_column
begin
    return query
    with a as materialized (  -- so that a key's two halves come from one table: else half a key is looked up, the rest compared
        select u.place, u.code, u.merchant, u.request, u.payment_no, c.campaign_no, c.id as campaign
        from unnest(codes, requests, merchants, payments) with ordinality as u (code, request, merchant, payment_no, place)
        left join campaigns c on c.code_prefix = left(u.code, 3)
    )
    select a.code, a.merchant, a.request, statement_timestamp(), a.campaign_no, a.campaign,
           v.valid_from, v.expires_at, v.state, v.step, v.is_hidden,
           cl.wave_no, cl.offer_no, cl.terms_version, cl.claimed_at, coalesce(cl.account, cl.claimant),
           m.kind, m.at, m.merchant, m.store, m.order_no, m.reason, m.until, m.step,
           q.state, q.ended_reason, q.ended_at,
           taken.places,
           known.campaign_no, known.code, known.step, known.kind, known.at, known.digest, known.offer_no,
           known.terms_version, known.request_no, known.store, known.clerk, known.order_no, known.payment_no,
           known.amount, known.discount, known.lines, known.until, known.of_step, known.by, known.is_completed
    from a
    left join vouchers v on v.campaign_no = a.campaign_no and v.code = a.code
    left join claims cl on cl.campaign_no = v.campaign_no and cl.epoch = v.epoch and cl.sequence = v.sequence
    left join voucher_steps m on m.campaign_no = v.campaign_no and m.code = v.code and m.step = v.made_by
    left join voucher_steps known on known.request = a.request
    left join lateral (
        select k.state, k.ended_reason, k.ended_at from quarantine k
        where k.campaign_no = a.campaign_no and k.code = a.code and k.state <> 'retried' and v.code is null
        limit 1
    ) q on true
    left join lateral (
        select array_agg(s.payment_place) as places from voucher_steps s
        where a.payment_no <> '' and s.merchant = a.merchant and s.payment_no = a.payment_no
          and s.campaign_no = a.campaign_no and s.payment_place is not null
    ) taken on true
    order by a.place;
end
$$;

-- The one statement that decides. A voucher's row is changed where it is as it was seen, and only what was changed gets
-- a row in voucher_steps. The steps come in the order of the vouchers' keys, so that two batches that want the same
-- vouchers wait for each other and not in a circle. A step that a voucher's time allows comes before that time is over
-- (`before`), or not at all: one that was held up on its way makes no refusal false that was told after it.
create function take_voucher_steps(
    campaign_nos integer[], codes text[], steps integer[], kepts text[], kinds text[], ats timestamptz[], offer_nos smallint[],
    terms_versions integer[], requests uuid[], digests bytea[], request_nos text[], merchants text[], stores text[],
    clerks text[], order_nos text[], payment_nos text[], payment_places smallint[], amounts bigint[], discounts bigint[],
    orders jsonb[], days date[], untils timestamptz[], of_steps integer[], bys text[], completed boolean[],
    befores timestamptz[]
)
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
        select *
        from unnest(campaign_nos, codes, steps, kepts, kinds, ats, offer_nos, terms_versions, requests, digests,
                    request_nos, merchants, stores, clerks, order_nos, payment_nos, payment_places, amounts, discounts,
                    orders, days, untils, of_steps, bys, completed, befores)
             as a (campaign_no, code, step, kept, kind, at, offer_no, terms_version, request, digest, request_no, merchant,
                   store, clerk, order_no, payment_no, payment_place, amount, discount, lines, day,
                   until, of_step, by, is_completed, before)
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
