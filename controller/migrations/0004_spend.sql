-- What the models cost, day by day, and a secret of the installation.

-- One row: a random value from which a session's keys are made (the hash in marks of masked secrets,
-- the boundary of output). It is the same after a restart; no role reads it but by the function below,
-- and people who read the trail have no right to that.
CREATE TABLE installation_secret (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    secret bytea   NOT NULL CHECK (length(secret) = 32)
);
-- Three random UUIDs hold more random bits than the hash keeps.
INSERT INTO installation_secret (secret) VALUES (sha256(convert_to(
    gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')));

CREATE FUNCTION read_installation_secret() RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT secret FROM installation_secret
$$;

-- Days are those of UTC, by this server's clock.
CREATE TABLE spend_days (
    day         date   PRIMARY KEY,
    nanodollars bigint NOT NULL DEFAULT 0 CHECK (nanodollars >= 0)
);
COMMENT ON TABLE spend_days IS 'What the calls of a day cost: settled ones as they cost, others at their worst case.';

CREATE TABLE spend (
    session_id text        NOT NULL,
    call       text        NOT NULL,
    day        date        NOT NULL REFERENCES spend_days (day),
    reserved   bigint      NOT NULL CHECK (reserved >= 0),
    settled    bigint      CHECK (settled >= 0),
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (session_id, call)
);
CREATE INDEX spend_day ON spend (day);
COMMENT ON TABLE spend IS 'Calls of models. One that was never settled (the controller ended in it) counts in full.';

-- Today, what it cost so far, and when the next day begins.
CREATE FUNCTION spend_today(OUT day date, OUT nanodollars bigint, OUT next_day timestamptz)
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT today, coalesce((SELECT d.nanodollars FROM spend_days d WHERE d.day = today), 0),
           (today + 1)::timestamp AT TIME ZONE 'UTC'
    FROM (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS today) AS t
$$;

-- Reserves the worst case of a call, if the day's limit (null: none) has room for it. The same call again
-- is answered as the first time, so that who lost the answer may ask again.
CREATE FUNCTION reserve_spend(p_session text, p_call text, p_amount bigint, p_limit bigint, p_epoch bigint,
    OUT granted boolean, OUT nanodollars bigint, OUT next_day timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_day date;
BEGIN
    PERFORM fence(p_epoch);
    SELECT t.day, t.next_day INTO v_day, next_day FROM spend_today() t;
    INSERT INTO spend_days (day) VALUES (v_day) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        DELETE FROM spend s WHERE s.day < v_day - 90;
    END IF;
    -- Calls of one moment wait here for each other: the sum must not be judged twice.
    SELECT d.nanodollars INTO nanodollars FROM spend_days d WHERE d.day = v_day FOR UPDATE;
    granted := EXISTS (SELECT 1 FROM spend s WHERE s.session_id = p_session AND s.call = p_call);
    IF granted THEN
        RETURN;
    END IF;
    granted := p_limit IS NULL OR nanodollars + p_amount <= p_limit;
    IF granted THEN
        INSERT INTO spend (session_id, call, day, reserved) VALUES (p_session, p_call, v_day, p_amount);
        UPDATE spend_days d SET nanodollars = d.nanodollars + p_amount WHERE d.day = v_day
            RETURNING d.nanodollars INTO nanodollars;
    END IF;
END
$$;

-- Puts what a call really cost in the place of its worst case, once. Today's sum after it.
CREATE FUNCTION settle_spend(p_session text, p_call text, p_amount bigint, p_epoch bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_day      date;
    v_reserved bigint;
BEGIN
    PERFORM fence(p_epoch);
    UPDATE spend SET settled = p_amount WHERE session_id = p_session AND call = p_call AND settled IS NULL
        RETURNING day, reserved INTO v_day, v_reserved;
    IF FOUND THEN
        UPDATE spend_days SET nanodollars = greatest(nanodollars - v_reserved + p_amount, 0) WHERE day = v_day;
    END IF;
    RETURN (SELECT nanodollars FROM spend_today());
END
$$;

REVOKE ALL ON FUNCTION read_installation_secret(), spend_today(), reserve_spend(text, text, bigint, bigint, bigint),
    settle_spend(text, text, bigint, bigint) FROM PUBLIC;
