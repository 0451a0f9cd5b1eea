-- Halts of the whole installation, as the leading controller saw them. What halts is an object in the cluster, so
-- that it does not wait for this database; here stays when that was, by whom and why.

CREATE TABLE halts (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    halted  boolean     NOT NULL,
    "by"    text,
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
BEGIN
    PERFORM fence(p_epoch);
    IF NOT p_halted AND NOT EXISTS (SELECT 1 FROM halts) THEN
        RETURN;
    END IF;
    PERFORM 1 FROM (SELECT h.halted, h."by", h.reason, h.since FROM halts h ORDER BY h.id DESC LIMIT 1) AS newest
        WHERE newest.halted = p_halted AND (NOT p_halted OR (newest."by" IS NOT DISTINCT FROM p_by
            AND newest.reason IS NOT DISTINCT FROM p_reason AND newest.since IS NOT DISTINCT FROM p_since));
    IF FOUND THEN
        RETURN;
    END IF;
    INSERT INTO halts (halted, "by", reason, since, epoch) VALUES (p_halted, p_by, p_reason, p_since, p_epoch);
END
$$;

REVOKE ALL ON FUNCTION record_halt(boolean, text, text, timestamptz, bigint) FROM PUBLIC;
