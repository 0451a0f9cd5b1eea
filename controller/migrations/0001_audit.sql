-- The audit store. Rows are added by the functions below and by nothing else; the role that the
-- controller logs in with may execute those functions and read, no more.

REVOKE CREATE ON SCHEMA public FROM PUBLIC;

-- One row: the name that stands on everything that this installation makes in Docker.
CREATE TABLE installation (
    one        boolean     PRIMARY KEY DEFAULT true CHECK (one),
    id         text        NOT NULL CHECK (id ~ '^[0-9a-f]{8}$'),
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO installation (id) VALUES (left(replace(gen_random_uuid()::text, '-', ''), 8));

-- Identity above, mutable state below. What matters in the state is also an entry.
CREATE TABLE sessions (
    id                 text        PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 63),
    incident_uid       text        NOT NULL,
    incident_namespace text        NOT NULL,
    incident_name      text        NOT NULL,
    attempt            bigint      NOT NULL CHECK (attempt >= 1),
    subject            text        NOT NULL,
    model              text        NOT NULL,
    title              text        NOT NULL,
    severity           text        NOT NULL,
    started_at         timestamptz NOT NULL,

    phase              text        NOT NULL DEFAULT 'Running',
    turns              bigint      NOT NULL DEFAULT 0,
    commands           bigint      NOT NULL DEFAULT 0,
    input_tokens       bigint      NOT NULL DEFAULT 0,
    output_tokens      bigint      NOT NULL DEFAULT 0,
    cost_nanodollars   bigint      NOT NULL DEFAULT 0,
    root_cause         text,
    summary            text,
    reason             text,
    ended_at           timestamptz,
    updated_at         timestamptz NOT NULL DEFAULT now(),

    UNIQUE (incident_uid, attempt)
);
CREATE INDEX sessions_started ON sessions (started_at DESC, id);
CREATE INDEX sessions_incident ON sessions (incident_namespace, incident_name);

-- `body` is the entry as it was written, byte for byte: {"session","seq","at","kind","data"}. The
-- other columns are derived from it, for people who ask in SQL.
CREATE TABLE entries (
    session_id text        NOT NULL REFERENCES sessions (id),
    seq        bigint      NOT NULL CHECK (seq >= 1),
    kind       text        NOT NULL CHECK (kind IN (
        'incident', 'turn', 'reasoning', 'tool_call', 'tool_result', 'change',
        'conclusion', 'verification', 'note', 'control')),
    at         timestamptz NOT NULL,
    body       bytea       NOT NULL,
    data       jsonb       NOT NULL,
    PRIMARY KEY (session_id, seq)
);
COMMENT ON COLUMN entries.data IS
    'From body. Postgres cannot hold U+0000 in jsonb: it stands here as U+2400 (␀), and as itself in body.';

CREATE TABLE summaries (
    session_id text        NOT NULL,
    seq        bigint      NOT NULL,
    text       text        NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session_id, seq),
    FOREIGN KEY (session_id, seq) REFERENCES entries (session_id, seq)
);
COMMENT ON TABLE summaries IS 'Written by a small model, for reading along. Outside the proof.';

-- lz4 packs a megabyte of output several times faster than the default; not every server has it.
DO $$
BEGIN
    ALTER TABLE entries ALTER COLUMN body SET COMPRESSION lz4;
    ALTER TABLE entries ALTER COLUMN data SET COMPRESSION lz4;
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE 'no lz4 on this server: %', SQLERRM;
END
$$;

-- Insert-only, also for the owner, unless the owner takes the trigger away.
CREATE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are only ever added: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'OP003';
END
$$;
CREATE TRIGGER entries_are_final BEFORE UPDATE OR DELETE ON entries
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER entries_stay BEFORE TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER summaries_are_final BEFORE UPDATE OR DELETE ON summaries
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER summaries_stay BEFORE TRUNCATE ON summaries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Begins a session, or leaves alone the one that this Incident and attempt already have.
CREATE FUNCTION begin_session(
    p_id text, p_incident_uid text, p_incident_namespace text, p_incident_name text, p_attempt bigint,
    p_subject text, p_model text, p_title text, p_severity text, p_started_at timestamptz
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO sessions (id, incident_uid, incident_namespace, incident_name, attempt,
                          subject, model, title, severity, started_at)
    VALUES (p_id, p_incident_uid, p_incident_namespace, p_incident_name, p_attempt,
            p_subject, p_model, p_title, p_severity, p_started_at)
    ON CONFLICT (incident_uid, attempt) DO NOTHING;
END
$$;

-- Appends one entry: the next number or nothing. The same call again is answered without a word if
-- the row stands there with the same bytes, so that a writer who lost the answer may ask again.
CREATE FUNCTION append_entry(p_session text, p_seq bigint, p_body bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_last bigint;
    v_body bytea;
    v_text text;
    v_doc  jsonb;
BEGIN
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
    p_reason text, p_ended_at timestamptz
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    UPDATE sessions SET
        phase = p_phase, turns = p_turns, commands = p_commands, input_tokens = p_input_tokens,
        output_tokens = p_output_tokens, cost_nanodollars = p_cost_nanodollars,
        root_cause = p_root_cause, summary = p_summary, reason = p_reason, ended_at = p_ended_at,
        updated_at = now()
    WHERE id = p_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'session %', p_id USING ERRCODE = 'OP002';
    END IF;
END
$$;

-- Keeps the first summary of an entry.
CREATE FUNCTION add_summary(p_session text, p_seq bigint, p_text text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM entries WHERE session_id = p_session AND seq = p_seq) THEN
        RAISE EXCEPTION 'entry % of session %', p_seq, p_session USING ERRCODE = 'OP002';
    END IF;
    INSERT INTO summaries (session_id, seq, text) VALUES (p_session, p_seq, p_text)
    ON CONFLICT (session_id, seq) DO NOTHING;
END
$$;

REVOKE ALL ON FUNCTION refuse_change(), append_entry(text, bigint, bytea), add_summary(text, bigint, text),
    begin_session(text, text, text, text, bigint, text, text, text, text, timestamptz),
    update_session(text, text, bigint, bigint, bigint, bigint, bigint, text, text, text, timestamptz)
    FROM PUBLIC;
