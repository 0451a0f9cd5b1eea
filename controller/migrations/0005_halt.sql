-- Halts of the whole installation, as the leading controller saw them. What halts is an object in the cluster, so
-- that it does not wait for this database; here stays when that was, by whom and why.

CREATE TABLE halts (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    halted  boolean     NOT NULL,
    by      text,
    reason  text,
    since   timestamptz,
    seen_at timestamptz NOT NULL DEFAULT now(),
    epoch   bigint      NOT NULL
);
COMMENT ON TABLE halts IS 'by, reason and since are what the person who halted or resumed wrote: the API server''s '
    'own audit log says who it really was. Outside the proof; each session has its own entries about a halt.';

CREATE TRIGGER halts_are_final BEFORE UPDATE OR DELETE ON halts
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER halts_stay BEFORE TRUNCATE ON halts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Puts on record that the installation is halted, or that it is not. The same again is no second row: a controller
-- that starts says what it finds.
CREATE FUNCTION record_halt(p_halted boolean, p_by text, p_reason text, p_since timestamptz, p_epoch bigint)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_last halts%ROWTYPE;
BEGIN
    PERFORM fence(p_epoch);
    SELECT * INTO v_last FROM halts ORDER BY id DESC LIMIT 1;
    IF NOT FOUND AND NOT p_halted THEN
        RETURN;
    END IF;
    IF FOUND AND v_last.halted = p_halted AND (NOT p_halted OR (v_last.by, v_last.reason, v_last.since)
            IS NOT DISTINCT FROM (p_by, p_reason, p_since)) THEN
        RETURN;
    END IF;
    INSERT INTO halts (halted, by, reason, since, epoch) VALUES (p_halted, p_by, p_reason, p_since, p_epoch);
END
$$;

REVOKE ALL ON FUNCTION record_halt(boolean, text, text, timestamptz, bigint) FROM PUBLIC;
