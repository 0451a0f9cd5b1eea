-- One controller leads: the one whose epoch the lease has. The epoch is raised each time that the
-- lease changes hands, stands in every write, and a write with another epoch is refused.

CREATE TABLE lease (
    one         boolean     PRIMARY KEY DEFAULT true CHECK (one),
    epoch       bigint      NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    holder      text        NOT NULL DEFAULT '',
    acquired_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    renewed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE lease IS 'Who leads, by this server''s clock. An empty holder: nobody, it was given back.';
INSERT INTO lease DEFAULT VALUES;

ALTER TABLE sessions ADD COLUMN epoch bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN sessions.epoch IS 'Of the controller that wrote this row last.';

-- Refuses a writer that does not lead (any more). Called first by every function that writes.
--
-- The lock lasts to the end of the writer's transaction. A takeover waits for those who have it and
-- makes later ones wait for itself (locks of a table queue in order, so that no stream of writers
-- keeps a takeover waiting); who waited sees its epoch, because each statement here sees what is
-- committed by then. So a writer is either done before the takeover begins or refused after it.
-- Renewals do not take part: they neither wait for writers nor make them wait. A row lock
-- (FOR SHARE) would keep the first promise and break the other two: renewals would have to wait for a
-- moment without writers, and every entry would write to the lease's row.
CREATE FUNCTION fence(p_epoch bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_lease lease%ROWTYPE;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'writers to the audit store use READ COMMITTED: % would not see that another one leads',
            current_setting('transaction_isolation') USING ERRCODE = '0A000';
    END IF;
    LOCK TABLE lease IN ROW SHARE MODE;
    SELECT * INTO STRICT v_lease FROM lease;
    IF p_epoch IS DISTINCT FROM v_lease.epoch THEN
        RAISE EXCEPTION 'epoch % does not lead: epoch % does (%)', coalesce(p_epoch::text, 'none'), v_lease.epoch,
            CASE WHEN v_lease.holder = '' THEN 'given back' ELSE v_lease.holder END USING ERRCODE = 'OP005';
    END IF;
END
$$;

-- Takes the lease if it is free or has run out, and then raises the epoch. Otherwise `epoch` is null,
-- and the rest says who leads and for how many seconds yet.
CREATE FUNCTION acquire_lease(p_holder text, p_ttl interval,
    OUT epoch bigint, OUT holder text, OUT seconds_left double precision)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    v_lease lease%ROWTYPE;
BEGIN
    IF coalesce(p_holder, '') = '' OR p_ttl IS NULL OR p_ttl <= interval '0' THEN
        RAISE EXCEPTION 'a lease needs a holder and a time' USING ERRCODE = '22023';
    END IF;
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    SELECT * INTO STRICT v_lease FROM lease;
    -- Who stands by asks often, and must not disturb the writers as long as somebody leads.
    IF v_lease.expires_at <= clock_timestamp() THEN
        LOCK TABLE lease IN EXCLUSIVE MODE;
        SELECT * INTO STRICT v_lease FROM lease;
        IF v_lease.expires_at <= clock_timestamp() THEN
            UPDATE lease SET epoch = lease.epoch + 1, holder = p_holder, acquired_at = clock_timestamp(),
                renewed_at = clock_timestamp(), expires_at = clock_timestamp() + p_ttl
                RETURNING lease.* INTO STRICT v_lease;
            epoch := v_lease.epoch;
        END IF;
    END IF;
    holder := v_lease.holder;
    seconds_left := extract(epoch FROM v_lease.expires_at - clock_timestamp());
END
$$;

-- Whether the lease is still that holder's in that epoch, which is then so for another `p_ttl`.
CREATE FUNCTION renew_lease(p_holder text, p_epoch bigint, p_ttl interval) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    UPDATE lease SET renewed_at = clock_timestamp(), expires_at = clock_timestamp() + p_ttl
        WHERE epoch = p_epoch AND holder = p_holder;
    RETURN FOUND;
END
$$;

-- Gives the lease back, so that the next need not wait for its end. Whether it was there to be given.
CREATE FUNCTION release_lease(p_holder text, p_epoch bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    UPDATE lease SET holder = '', expires_at = clock_timestamp() WHERE epoch = p_epoch AND holder = p_holder;
    RETURN FOUND;
END
$$;

-- Cuts the connections of this role whose transactions have held a writer's lock for longer than that:
-- a controller that was stopped between two packets of a write would keep a takeover waiting for as
-- long as it is stopped. Runs with the rights of its caller, who may end what is its own. How many.
CREATE FUNCTION cut_stuck_writers(p_older_than interval) RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT count(*) FILTER (WHERE pg_terminate_backend(stuck.pid)) FROM (
        SELECT DISTINCT a.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid)
        WHERE l.locktype = 'relation' AND l.relation = 'lease'::regclass AND l.granted
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND l.mode <> 'AccessShareLock' AND a.usename = current_user AND a.pid <> pg_backend_pid()
          AND a.xact_start < clock_timestamp() - p_older_than
    ) AS stuck
$$;

-- The functions that write, each with the writer's epoch.

DROP FUNCTION append_entry(text, bigint, bytea);
DROP FUNCTION add_summary(text, bigint, text);
DROP FUNCTION begin_session(text, text, text, text, bigint, text, text, text, text, timestamptz);
DROP FUNCTION update_session(text, text, bigint, bigint, bigint, bigint, bigint, text, text, text, timestamptz);

-- Begins a session; the one that this Incident and attempt already have is only taken up.
CREATE FUNCTION begin_session(
    p_id text, p_incident_uid text, p_incident_namespace text, p_incident_name text, p_attempt bigint,
    p_subject text, p_model text, p_title text, p_severity text, p_started_at timestamptz, p_epoch bigint
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM fence(p_epoch);
    INSERT INTO sessions (id, incident_uid, incident_namespace, incident_name, attempt,
                          subject, model, title, severity, started_at, epoch)
    VALUES (p_id, p_incident_uid, p_incident_namespace, p_incident_name, p_attempt,
            p_subject, p_model, p_title, p_severity, p_started_at, p_epoch)
    ON CONFLICT (incident_uid, attempt) DO UPDATE SET epoch = EXCLUDED.epoch;
END
$$;

-- Appends one entry: the next number or nothing. The same call again is answered without a word if
-- the row stands there with the same bytes, so that a writer who lost the answer may ask again.
CREATE FUNCTION append_entry(p_session text, p_seq bigint, p_body bytea, p_epoch bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_last bigint;
    v_body bytea;
    v_text text;
    v_doc  jsonb;
BEGIN
    PERFORM fence(p_epoch);

    -- A command runs after this returns, so the row has to be on disk by then, whatever the
    -- server's default is.
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    PERFORM 1 FROM sessions WHERE id = p_session FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'session %', p_session USING ERRCODE = 'OP002';
    END IF;

    SELECT coalesce(max(seq), 0) INTO v_last FROM entries WHERE session_id = p_session;
    IF p_seq BETWEEN 1 AND v_last THEN
        SELECT body INTO v_body FROM entries WHERE session_id = p_session AND seq = p_seq;
        IF v_body = p_body THEN
            RETURN;
        END IF;
        RAISE EXCEPTION 'there is another entry % already, the last one is %', p_seq, v_last
            USING ERRCODE = 'OP001';
    ELSIF p_seq <> v_last + 1 THEN
        RAISE EXCEPTION 'the last entry is %', v_last USING ERRCODE = 'OP001';
    END IF;

    v_text := convert_from(p_body, 'UTF8');
    IF strpos(v_text, '\u0000') > 0 THEN
        -- Escaped backslashes step aside (a raw U+0001 cannot stand in JSON), so that what is left
        -- of "\u0000" is the escape and never the tail of "\\u0000".
        v_text := replace(replace(replace(v_text, '\\', chr(1)), '\u0000', '\u2400'), chr(1), '\\');
    END IF;
    v_doc := v_text::jsonb;
    IF v_doc->>'session' IS DISTINCT FROM p_session OR (v_doc->>'seq')::bigint IS DISTINCT FROM p_seq THEN
        RAISE EXCEPTION 'the body of entry % of session % says that it is entry % of session %',
            p_seq, p_session, v_doc->>'seq', v_doc->>'session' USING ERRCODE = 'OP004';
    END IF;

    INSERT INTO entries (session_id, seq, kind, at, body, data)
    VALUES (p_session, p_seq, v_doc->>'kind', (v_doc->>'at')::timestamptz, p_body, v_doc->'data');
END
$$;

-- Replaces the mutable part of a session's row.
CREATE FUNCTION update_session(
    p_id text, p_phase text, p_turns bigint, p_commands bigint, p_input_tokens bigint,
    p_output_tokens bigint, p_cost_nanodollars bigint, p_root_cause text, p_summary text,
    p_reason text, p_ended_at timestamptz, p_epoch bigint
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM fence(p_epoch);
    UPDATE sessions SET
        phase = p_phase, turns = p_turns, commands = p_commands, input_tokens = p_input_tokens,
        output_tokens = p_output_tokens, cost_nanodollars = p_cost_nanodollars,
        root_cause = p_root_cause, summary = p_summary, reason = p_reason, ended_at = p_ended_at,
        updated_at = now(), epoch = p_epoch
    WHERE id = p_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'session %', p_id USING ERRCODE = 'OP002';
    END IF;
END
$$;

-- Keeps the first summary of an entry.
CREATE FUNCTION add_summary(p_session text, p_seq bigint, p_text text, p_epoch bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM fence(p_epoch);
    IF NOT EXISTS (SELECT 1 FROM entries WHERE session_id = p_session AND seq = p_seq) THEN
        RAISE EXCEPTION 'entry % of session %', p_seq, p_session USING ERRCODE = 'OP002';
    END IF;
    INSERT INTO summaries (session_id, seq, text) VALUES (p_session, p_seq, p_text)
    ON CONFLICT (session_id, seq) DO NOTHING;
END
$$;

REVOKE ALL ON FUNCTION fence(bigint), acquire_lease(text, interval), renew_lease(text, bigint, interval),
    release_lease(text, bigint), cut_stuck_writers(interval),
    append_entry(text, bigint, bytea, bigint), add_summary(text, bigint, text, bigint),
    begin_session(text, text, text, text, bigint, text, text, text, text, timestamptz, bigint),
    update_session(text, text, bigint, bigint, bigint, bigint, bigint, text, text, text, timestamptz, bigint)
    FROM PUBLIC;
