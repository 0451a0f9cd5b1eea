-- Runs after the migrations, each time. The names come from settings of the transaction.
DO $$
DECLARE
    v_controller text := current_setting('operator.controller');
    v_reader     text := current_setting('operator.reader');
    v_password   text := current_setting('operator.password');
    v_pruner     text := current_setting('operator.pruner');
    v_prune_word text := current_setting('operator.pruner_password');
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
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = v_pruner) THEN
        EXECUTE format('CREATE ROLE %I LOGIN NOINHERIT', v_pruner);
    END IF;
    IF v_prune_word <> '' THEN
        EXECUTE format('ALTER ROLE %I LOGIN PASSWORD %L', v_pruner, v_prune_word);
    END IF;

    -- Whatever an earlier version or a helping hand gave it, it goes first.
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA public FROM %I, %I, %I', v_controller, v_reader, v_pruner);
    EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM %I, %I, %I', v_controller, v_reader, v_pruner);
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I, %I, %I', current_database(), v_controller, v_reader, v_pruner);
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I, %I, %I', v_controller, v_reader, v_pruner);
    EXECUTE format('GRANT SELECT ON installation, lease, sessions, entries, summaries, halts, _sqlx_migrations TO %I, %I',
                   v_controller, v_reader);
    EXECUTE format('GRANT SELECT ON links, keys, head, tombstones TO %I, %I', v_controller, v_reader);
    EXECUTE format('GRANT EXECUTE ON FUNCTION
            acquire_lease(text, interval), renew_lease(text, bigint, interval), release_lease(text, bigint),
            cut_stuck_writers(interval),
            record_halt(boolean, text, text, timestamptz, bigint),
            append_entry(text, bigint, bytea, bytea, bytea, text, bigint),
            seal_session(text, bigint, bytea, bytea, bytea, bigint, bytea, bytea, bytea, text, bigint),
            add_summary(text, bigint, text, bigint),
            begin_session(text, text, text, text, bigint, text, text, text, text, timestamptz,
                          bigint, bytea, bytea, bytea, text, bigint),
            update_session(text, text, bigint, bigint, bigint, bigint, bigint, text, text, text, timestamptz, bigint)
        TO %I', v_controller);
    EXECUTE format('GRANT EXECUTE ON FUNCTION prune_sessions(timestamptz, bigint, bigint, bytea, bytea, bytea, text) TO %I',
                   v_pruner);

    -- What models cost. The installation's secret is nobody's to read but the controller's.
    EXECUTE format('GRANT SELECT ON spend_days, spend TO %I, %I', v_controller, v_reader);
    EXECUTE format('GRANT EXECUTE ON FUNCTION spend_today() TO %I, %I', v_controller, v_reader);
    EXECUTE format('GRANT EXECUTE ON FUNCTION
            read_installation_secret(),
            reserve_spend(text, text, bigint, bigint, bigint),
            settle_spend(text, text, bigint, bigint)
        TO %I', v_controller);

    -- What demos did: the controller's alone, for a plan may hold a container's environment.
    EXECUTE format('GRANT SELECT ON demo_turns, demo_acts TO %I', v_controller);
    EXECUTE format('GRANT EXECUTE ON FUNCTION
            begin_demo_turn(text, text, text, text, text, bigint, bigint, text, text, timestamptz, timestamptz,
                            timestamptz, boolean, bigint),
            end_demo_turn(bigint, text, text, timestamptz, bigint),
            begin_demo_act(bigint, text, text, bigint, text, text, text, text, text, timestamptz, bigint),
            end_demo_act(bigint, text, text, bigint, text, text, timestamptz, bigint),
            begin_demo_undo(bigint, text, text, bigint, bigint, timestamptz, bigint),
            end_demo_undo(bigint, text, text, bigint, text, timestamptz, bigint)
        TO %I', v_controller);
END
$$;
