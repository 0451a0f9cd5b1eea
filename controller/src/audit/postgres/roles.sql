-- Runs after the migrations, each time. The names come from settings of the transaction.
DO $$
DECLARE
    v_controller text := current_setting('operator.controller');
    v_reader     text := current_setting('operator.reader');
    v_password   text := current_setting('operator.password');
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = v_controller) THEN
        EXECUTE format('CREATE ROLE %I LOGIN NOINHERIT', v_controller);
    END IF;
    IF v_password <> '' THEN
        EXECUTE format('ALTER ROLE %I LOGIN PASSWORD %L', v_controller, v_password);
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = v_reader) THEN
        EXECUTE format('CREATE ROLE %I NOLOGIN', v_reader);
    END IF;

    -- Whatever an earlier version or a helping hand gave it, it goes first.
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA public FROM %I, %I', v_controller, v_reader);
    EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM %I, %I', v_controller, v_reader);
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I, %I', current_database(), v_controller, v_reader);
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I, %I', v_controller, v_reader);
    EXECUTE format('GRANT SELECT ON installation, lease, sessions, entries, summaries, _sqlx_migrations TO %I, %I',
                   v_controller, v_reader);
    EXECUTE format('GRANT EXECUTE ON FUNCTION
            acquire_lease(text, interval), renew_lease(text, bigint, interval), release_lease(text, bigint),
            cut_stuck_writers(interval),
            append_entry(text, bigint, bytea, bigint),
            add_summary(text, bigint, text, bigint),
            begin_session(text, text, text, text, bigint, text, text, text, text, timestamptz, bigint),
            update_session(text, text, bigint, bigint, bigint, bigint, bigint, text, text, text, timestamptz, bigint)
        TO %I', v_controller);

    -- What models cost. The installation's secret is nobody's to read but the controller's.
    EXECUTE format('GRANT SELECT ON spend_days, spend TO %I, %I', v_controller, v_reader);
    EXECUTE format('GRANT EXECUTE ON FUNCTION spend_today() TO %I, %I', v_controller, v_reader);
    EXECUTE format('GRANT EXECUTE ON FUNCTION
            read_installation_secret(),
            reserve_spend(text, text, bigint, bigint, bigint),
            settle_spend(text, text, bigint, bigint)
        TO %I', v_controller);
END
$$;
