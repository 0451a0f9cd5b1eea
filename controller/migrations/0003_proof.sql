-- What makes it plain that a row was changed, removed or slipped in. Each entry is signed together with
-- the hash of the one before it; the first one follows a link of one chain that the whole installation
-- has, where sessions begin and are sealed, keys come, and old sessions are pruned. The private key is
-- not here. `operator audit verify` needs only the public one.

ALTER TABLE entries
    ADD COLUMN prev      bytea,
    ADD COLUMN hash      bytea,
    ADD COLUMN signature bytea,
    ADD COLUMN key_id    text,
    ADD COLUMN epoch     bigint,
    ADD CONSTRAINT entries_proof CHECK (
        num_nonnulls(prev, hash, signature, key_id, epoch) = 0
        OR (num_nonnulls(prev, hash, signature, key_id, epoch) = 5 AND octet_length(prev) = 32
            AND octet_length(hash) = 32 AND octet_length(signature) = 64));
COMMENT ON COLUMN entries.signature IS 'Ed25519 over the message whose SHA-256 is hash. Null: from before entries were signed.';

ALTER TABLE sessions
    ADD COLUMN anchor bytea,
    ADD COLUMN sealed boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN sessions.anchor IS 'Hash of the link that its first signed entry follows.';

-- `body` is the link as it was signed, byte for byte: {"n","at","kind","data"}.
CREATE TABLE links (
    n          bigint      PRIMARY KEY CHECK (n >= 1),
    kind       text        NOT NULL CHECK (kind IN ('key', 'adopt', 'start', 'seal', 'prune')),
    at         timestamptz NOT NULL,
    session_id text,
    body       bytea       NOT NULL,
    data       jsonb       NOT NULL,
    prev       bytea       NOT NULL CHECK (octet_length(prev) = 32),
    hash       bytea       NOT NULL CHECK (octet_length(hash) = 32),
    signature  bytea       NOT NULL CHECK (octet_length(signature) = 64),
    key_id     text        NOT NULL,
    epoch      bigint      NOT NULL
);
CREATE INDEX links_session ON links (session_id) WHERE session_id IS NOT NULL;

-- A copy of what the links say, so that a key is found without reading them all.
CREATE TABLE keys (
    id         text   PRIMARY KEY CHECK (id ~ '^[0-9a-f]{16}$'),
    public_key bytea  NOT NULL CHECK (octet_length(public_key) = 32),
    link       bigint NOT NULL REFERENCES links (n)
);

-- One row: the end of the chain, and the key that counts. Its lock is that of the chain.
CREATE TABLE head (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    n      bigint  NOT NULL,
    hash   bytea   NOT NULL,
    key_id text    NOT NULL
);
INSERT INTO head (n, hash, key_id) VALUES (0, decode(repeat('00', 32), 'hex'), '');

-- Sessions that were pruned, and the link that says so. Rows of entries go only with one of these.
CREATE TABLE tombstones (
    session_id text   PRIMARY KEY,
    link       bigint NOT NULL REFERENCES links (n)
);

CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' AND TG_TABLE_NAME IN ('entries', 'summaries') THEN
        IF EXISTS (SELECT 1 FROM public.tombstones t WHERE t.session_id = OLD.session_id) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'rows of % are only ever added: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'OP003';
END
$$;
CREATE TRIGGER links_are_final BEFORE UPDATE OR DELETE ON links
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER links_stay BEFORE TRUNCATE ON links
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER keys_are_final BEFORE UPDATE OR DELETE ON keys
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER keys_stay BEFORE TRUNCATE ON keys
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER tombstones_are_final BEFORE UPDATE OR DELETE ON tombstones
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER tombstones_stay BEFORE TRUNCATE ON tombstones
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER head_stays BEFORE DELETE ON head
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- A body as a document. Postgres cannot hold U+0000 in jsonb: it stands there as U+2400.
CREATE FUNCTION body_document(p_body bytea) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_text text := convert_from(p_body, 'UTF8');
BEGIN
    IF strpos(v_text, '\u0000') > 0 THEN
        -- Escaped backslashes step aside (a raw U+0001 cannot stand in JSON), so that what is left
        -- of "\u0000" is the escape and never the tail of "\\u0000".
        v_text := replace(replace(replace(v_text, '\\', chr(1)), '\u0000', '\u2400'), chr(1), '\\');
    END IF;
    RETURN v_text::jsonb;
END
$$;

-- The hashes are reckoned here, too, so that a writer that reckons otherwise is found out at once.
CREATE FUNCTION entry_hash(p_session text, p_seq bigint, p_epoch bigint, p_key text, p_prev bytea, p_body bytea)
RETURNS bytea LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT sha256('operator.dev/audit/entry/v1'::bytea || '\x00'::bytea
        || int4send(octet_length(convert_to(p_session, 'UTF8'))) || convert_to(p_session, 'UTF8')
        || int8send(p_seq) || int8send(p_epoch) || decode(p_key, 'hex') || p_prev || sha256(p_body))
$$;
CREATE FUNCTION link_hash(p_n bigint, p_epoch bigint, p_key text, p_prev bytea, p_body bytea)
RETURNS bytea LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT sha256('operator.dev/audit/link/v1'::bytea || '\x00'::bytea
        || int8send(p_n) || int8send(p_epoch) || decode(p_key, 'hex') || p_prev || sha256(p_body))
$$;

-- Appends a link, and says its hash. For the functions below, and for the owner who brings a key.
-- OP006: another link came first, sign again. OP007: another key counts, read it again.
CREATE FUNCTION append_link(p_n bigint, p_prev bytea, p_body bytea, p_signature bytea, p_key text, p_epoch bigint)
RETURNS bytea
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_head head%ROWTYPE;
    v_doc  jsonb := body_document(p_body);
    v_data jsonb := v_doc->'data';
    v_hash bytea;
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    SELECT * INTO STRICT v_head FROM head FOR UPDATE;
    IF p_n <> v_head.n + 1 OR p_prev <> v_head.hash THEN
        RAISE EXCEPTION 'the last link is %', v_head.n USING ERRCODE = 'OP006';
    END IF;
    IF v_doc->>'kind' = 'key' THEN
        IF p_key IS DISTINCT FROM v_head.key_id AND p_n > 1 AND NOT coalesce((v_data->>'lost')::boolean, false) THEN
            RAISE EXCEPTION '%', v_head.key_id USING ERRCODE = 'OP007';
        END IF;
    ELSIF p_key IS DISTINCT FROM v_head.key_id THEN
        RAISE EXCEPTION '%', v_head.key_id USING ERRCODE = 'OP007';
    END IF;
    IF (v_doc->>'n')::bigint IS DISTINCT FROM p_n THEN
        RAISE EXCEPTION 'the body of link % says that it is link %', p_n, v_doc->>'n' USING ERRCODE = 'OP004';
    END IF;
    v_hash := link_hash(p_n, p_epoch, p_key, p_prev, p_body);
    INSERT INTO links (n, kind, at, session_id, body, data, prev, hash, signature, key_id, epoch)
    VALUES (p_n, v_doc->>'kind', (v_doc->>'at')::timestamptz, v_data->>'session', p_body, v_data,
            p_prev, v_hash, p_signature, p_key, p_epoch);
    IF v_doc->>'kind' = 'key' THEN
        INSERT INTO keys (id, public_key, link) VALUES (v_data->>'id', decode(v_data->>'publicKey', 'hex'), p_n);
        UPDATE head SET n = p_n, hash = v_hash, key_id = v_data->>'id';
    ELSE
        UPDATE head SET n = p_n, hash = v_hash;
    END IF;
    RETURN v_hash;
END
$$;

DROP FUNCTION append_entry(text, bigint, bytea, bigint);
DROP FUNCTION begin_session(text, text, text, text, bigint, text, text, text, text, timestamptz, bigint);

-- Begins a session together with its link; true. The one that this Incident and attempt already have is
-- only taken up: false, and the link is not needed.
CREATE FUNCTION begin_session(
    p_id text, p_incident_uid text, p_incident_namespace text, p_incident_name text, p_attempt bigint,
    p_subject text, p_model text, p_title text, p_severity text, p_started_at timestamptz,
    p_n bigint, p_prev bytea, p_link bytea, p_signature bytea, p_key text, p_epoch bigint
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_doc  jsonb := body_document(p_link);
    v_hash bytea;
BEGIN
    PERFORM fence(p_epoch);
    UPDATE sessions SET epoch = p_epoch WHERE incident_uid = p_incident_uid AND attempt = p_attempt;
    IF FOUND THEN
        RETURN false;
    END IF;
    IF (v_doc->>'kind', v_doc->'data'->>'session', v_doc->'data'->>'incidentUid', (v_doc->'data'->>'attempt')::bigint)
        IS DISTINCT FROM ('start', p_id, p_incident_uid, p_attempt)
    THEN
        RAISE EXCEPTION 'the link of session % is about something else', p_id USING ERRCODE = 'OP004';
    END IF;
    v_hash := append_link(p_n, p_prev, p_link, p_signature, p_key, p_epoch);
    INSERT INTO sessions (id, incident_uid, incident_namespace, incident_name, attempt,
                          subject, model, title, severity, started_at, epoch, anchor)
    VALUES (p_id, p_incident_uid, p_incident_namespace, p_incident_name, p_attempt,
            p_subject, p_model, p_title, p_severity, p_started_at, p_epoch, v_hash);
    RETURN true;
END
$$;

-- Appends one entry: the next number, behind the last one's hash, or nothing. The same call again is
-- answered without a word if that row stands there, so that a writer who lost the answer may ask again.
CREATE FUNCTION append_entry(
    p_session text, p_seq bigint, p_body bytea, p_prev bytea, p_signature bytea, p_key text, p_epoch bigint
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_sealed boolean;
    v_expect bytea;
    v_last   bigint;
    v_hash   bytea;
    v_key    text;
    v_found  entries%ROWTYPE;
    v_doc    jsonb;
BEGIN
    PERFORM fence(p_epoch);

    -- A command runs after this returns, so the row has to be on disk by then, whatever the
    -- server's default is.
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    SELECT sealed, anchor INTO v_sealed, v_expect FROM sessions WHERE id = p_session FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'session %', p_session USING ERRCODE = 'OP002';
    END IF;

    SELECT seq, hash INTO v_last, v_hash FROM entries WHERE session_id = p_session ORDER BY seq DESC LIMIT 1;
    v_last := coalesce(v_last, 0);
    IF p_seq BETWEEN 1 AND v_last THEN
        SELECT * INTO v_found FROM entries WHERE session_id = p_session AND seq = p_seq;
        IF (v_found.body, v_found.prev, v_found.signature) IS NOT DISTINCT FROM (p_body, p_prev, p_signature) THEN
            RETURN;
        END IF;
        RAISE EXCEPTION 'there is another entry % already, the last one is %', p_seq, v_last
            USING ERRCODE = 'OP001';
    ELSIF p_seq <> v_last + 1 THEN
        RAISE EXCEPTION 'the last entry is %', v_last USING ERRCODE = 'OP001';
    ELSIF v_sealed THEN
        RAISE EXCEPTION 'the session is sealed, the last entry is %', v_last USING ERRCODE = 'OP001';
    ELSIF p_prev IS DISTINCT FROM coalesce(v_hash, v_expect) THEN
        RAISE EXCEPTION 'the last entry is % with another hash', v_last USING ERRCODE = 'OP001';
    END IF;

    SELECT key_id INTO STRICT v_key FROM head;
    IF p_key IS DISTINCT FROM v_key THEN
        RAISE EXCEPTION '%', v_key USING ERRCODE = 'OP007';
    END IF;

    v_doc := body_document(p_body);
    IF v_doc->>'session' IS DISTINCT FROM p_session OR (v_doc->>'seq')::bigint IS DISTINCT FROM p_seq THEN
        RAISE EXCEPTION 'the body of entry % of session % says that it is entry % of session %',
            p_seq, p_session, v_doc->>'seq', v_doc->>'session' USING ERRCODE = 'OP004';
    END IF;

    INSERT INTO entries (session_id, seq, kind, at, body, data, prev, hash, signature, key_id, epoch)
    VALUES (p_session, p_seq, v_doc->>'kind', (v_doc->>'at')::timestamptz, p_body, v_doc->'data',
            p_prev, entry_hash(p_session, p_seq, p_epoch, p_key, p_prev, p_body), p_signature, p_key, p_epoch);
END
$$;

-- Appends the last entry of a session together with its link, so that no crash can come between; true.
-- If both stand there already: false.
CREATE FUNCTION seal_session(
    p_session text, p_seq bigint, p_body bytea, p_prev bytea, p_signature bytea,
    p_n bigint, p_link_prev bytea, p_link bytea, p_link_signature bytea, p_key text, p_epoch bigint
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_doc    jsonb := body_document(p_link);
    v_sealed boolean;
    v_hash   bytea;
BEGIN
    PERFORM append_entry(p_session, p_seq, p_body, p_prev, p_signature, p_key, p_epoch);
    SELECT sealed INTO STRICT v_sealed FROM sessions WHERE id = p_session;
    IF v_sealed THEN
        RETURN false;
    END IF;
    SELECT hash INTO STRICT v_hash FROM entries WHERE session_id = p_session AND seq = p_seq;
    IF (v_doc->>'kind', v_doc->'data'->>'session', (v_doc->'data'->>'lastSeq')::bigint, v_doc->'data'->>'lastHash')
        IS DISTINCT FROM ('seal', p_session, p_seq, encode(v_hash, 'hex'))
    THEN
        RAISE EXCEPTION 'the link that seals session % is about something else', p_session USING ERRCODE = 'OP004';
    END IF;
    PERFORM append_link(p_n, p_link_prev, p_link, p_link_signature, p_key, p_epoch);
    UPDATE sessions SET sealed = true WHERE id = p_session;
    RETURN true;
END
$$;

-- What may be pruned: the oldest sessions that ended before `p_before`, and the end of the chain, for
-- who signs their tombstone. With a tombstone: removes the sessions that it names, whole, in the
-- transaction that appends it. The one function of the role that prunes.
CREATE FUNCTION prune_sessions(
    p_before timestamptz, p_limit bigint,
    p_n bigint DEFAULT NULL, p_prev bytea DEFAULT NULL, p_link bytea DEFAULT NULL,
    p_signature bytea DEFAULT NULL, p_key text DEFAULT NULL
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_doc     jsonb;
    v_ids     text[];
    v_removed bigint;
    v_wrong   text;
    v_answer  jsonb;
BEGIN
    IF p_link IS NULL THEN
        SELECT jsonb_build_object(
            'head', (SELECT jsonb_build_object('n', h.n, 'hash', encode(h.hash, 'hex')) FROM head h),
            'key', (SELECT h.key_id FROM head h),
            'sessions', coalesce((SELECT jsonb_agg(to_jsonb(c) - 'ended_at' ORDER BY c.ended_at, c.session) FROM (
                SELECT s.id AS session, s.ended_at, coalesce(l.seq, 0) AS "lastSeq", encode(l.hash, 'hex') AS "lastHash"
                FROM sessions s
                LEFT JOIN LATERAL (SELECT e.seq, e.hash FROM entries e WHERE e.session_id = s.id
                                   ORDER BY e.seq DESC LIMIT 1) AS l ON true
                WHERE s.ended_at < p_before ORDER BY s.ended_at, s.id LIMIT p_limit) AS c), '[]'))
        INTO STRICT v_answer;
        RETURN v_answer;
    END IF;

    v_doc := body_document(p_link);
    SELECT array_agg(one->>'session' ORDER BY one->>'session') INTO v_ids
        FROM jsonb_array_elements(v_doc->'data'->'sessions') AS one;
    IF v_doc->>'kind' IS DISTINCT FROM 'prune' OR coalesce(cardinality(v_ids), 0) = 0 THEN
        RAISE EXCEPTION 'the link is no tombstone' USING ERRCODE = 'OP004';
    END IF;
    -- Sessions before the chain, as everybody locks them.
    PERFORM 1 FROM sessions WHERE id = ANY (v_ids) ORDER BY id FOR UPDATE;
    SELECT one->>'session' INTO v_wrong
        FROM jsonb_array_elements(v_doc->'data'->'sessions') AS one
        LEFT JOIN sessions s ON s.id = one->>'session'
        LEFT JOIN LATERAL (SELECT e.seq, e.hash FROM entries e WHERE e.session_id = s.id
                           ORDER BY e.seq DESC LIMIT 1) AS l ON true
        WHERE (s.ended_at < p_before) IS NOT TRUE
           OR (one->>'lastSeq')::bigint IS DISTINCT FROM coalesce(l.seq, 0)
           OR one->>'lastHash' IS DISTINCT FROM encode(l.hash, 'hex')
        LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'session % is not one that ended before % as the tombstone says', v_wrong, p_before
            USING ERRCODE = 'OP004';
    END IF;
    PERFORM append_link(p_n, p_prev, p_link, p_signature, p_key, 0);
    INSERT INTO tombstones (session_id, link) SELECT id, p_n FROM unnest(v_ids) AS id;
    DELETE FROM summaries WHERE session_id = ANY (v_ids);
    DELETE FROM entries WHERE session_id = ANY (v_ids);
    GET DIAGNOSTICS v_removed = ROW_COUNT;
    DELETE FROM sessions WHERE id = ANY (v_ids);
    RETURN jsonb_build_object('sessions', cardinality(v_ids), 'entries', v_removed);
END
$$;

REVOKE ALL ON FUNCTION body_document(bytea), entry_hash(text, bigint, bigint, text, bytea, bytea),
    link_hash(bigint, bigint, text, bytea, bytea), append_link(bigint, bytea, bytea, bytea, text, bigint),
    begin_session(text, text, text, text, bigint, text, text, text, text, timestamptz,
                  bigint, bytea, bytea, bytea, text, bigint),
    append_entry(text, bigint, bytea, bytea, bytea, text, bigint),
    seal_session(text, bigint, bytea, bytea, bytea, bigint, bytea, bytea, bytea, text, bigint),
    prune_sessions(timestamptz, bigint, bigint, bytea, bytea, bytea, text)
    FROM PUBLIC;
