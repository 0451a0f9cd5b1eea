-- What demos did: which chapter was entered when, and each thing that was done for it, on record before it was done.
-- These rows, and not the resources in the cluster, are what a controller goes by that goes on with a demo.

-- A turn of a page, a reset to the beginning, or the end of a demo whose chapters are gone.
CREATE TABLE demo_turns (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace   text        NOT NULL,
    demo        text        NOT NULL,
    kind        text        NOT NULL CHECK (kind IN ('enter', 'reset', 'end')),
    chapter     text        NOT NULL,
    chapter_uid text        NOT NULL,
    number      bigint      NOT NULL,
    place       bigint      NOT NULL,
    subject     text        NOT NULL,
    project     text        NOT NULL,
    raised_at   timestamptz NOT NULL,
    at          timestamptz NOT NULL,
    acts_at     timestamptz NOT NULL,
    ended_at    timestamptz,
    how         text        CHECK (how IN ('complete', 'failed', 'superseded', 'done')),
    message     text,
    epoch       bigint      NOT NULL,
    UNIQUE (chapter_uid, kind, number),
    CHECK ((ended_at IS NULL) = (how IS NULL))
);
CREATE INDEX demo_turns_demo ON demo_turns (namespace, demo, id);
COMMENT ON TABLE demo_turns IS 'number is the value of spec.entered or spec.reset that asked for it. Outside the proof.';

-- One thing that was done. `begun_at` without `ended_at`: it may have been done, and the engine has to be asked.
CREATE TABLE demo_acts (
    turn_id       bigint      NOT NULL REFERENCES demo_turns (id),
    chapter       text        NOT NULL,
    phase         text        NOT NULL CHECK (phase IN ('act', 'restore')),
    index         bigint      NOT NULL CHECK (index >= 0),
    says          text        NOT NULL,
    undo_when     text        NOT NULL,
    key           text        NOT NULL,
    plan          text,
    state         text        NOT NULL CHECK (state IN ('Begun', 'Done', 'Failed', 'Unknown')),
    message       text,
    begun_at      timestamptz NOT NULL,
    ended_at      timestamptz,
    undo_turn     bigint      REFERENCES demo_turns (id),
    undo_begun_at timestamptz,
    undo_ended_at timestamptz,
    undo_error    text,
    epoch         bigint      NOT NULL,
    PRIMARY KEY (turn_id, chapter, phase, index)
);
COMMENT ON TABLE demo_acts IS 'plan and key are JSON as text: they may hold what jsonb cannot. A plan may hold a '
    'container''s environment, so the role that reads the trail does not read this. Outside the proof.';

-- Begins a turn; the same again gives the one that is there.
CREATE FUNCTION begin_demo_turn(
    p_namespace text, p_demo text, p_kind text, p_chapter text, p_chapter_uid text, p_number bigint, p_place bigint,
    p_subject text, p_project text, p_raised_at timestamptz, p_at timestamptz, p_acts_at timestamptz,
    p_superseded boolean, p_epoch bigint
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_id bigint;
BEGIN
    PERFORM fence(p_epoch);
    SELECT id INTO v_id FROM demo_turns
        WHERE chapter_uid = p_chapter_uid AND kind = p_kind AND number = p_number;
    IF FOUND THEN
        RETURN v_id;
    END IF;
    INSERT INTO demo_turns (namespace, demo, kind, chapter, chapter_uid, number, place, subject, project,
                            raised_at, at, acts_at, ended_at, how, epoch)
    VALUES (p_namespace, p_demo, p_kind, p_chapter, p_chapter_uid, p_number, p_place, p_subject, p_project,
            p_raised_at, p_at, p_acts_at, CASE WHEN p_superseded THEN p_at END,
            CASE WHEN p_superseded THEN 'superseded' END, p_epoch)
    RETURNING id INTO v_id;
    RETURN v_id;
END
$$;

-- Ends a turn, once.
CREATE FUNCTION end_demo_turn(p_id bigint, p_how text, p_message text, p_at timestamptz, p_epoch bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM fence(p_epoch);
    UPDATE demo_turns SET how = p_how, message = p_message, ended_at = p_at, epoch = p_epoch
        WHERE id = p_id AND ended_at IS NULL;
END
$$;

-- Puts on record that something is about to be done; whether this call did. If not, it is there already, and may
-- have been done.
CREATE FUNCTION begin_demo_act(
    p_turn bigint, p_chapter text, p_phase text, p_index bigint, p_says text, p_undo_when text,
    p_key text, p_plan text, p_failed text, p_at timestamptz, p_epoch bigint
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM fence(p_epoch);
    -- It is done after this returns, so the row has to be on disk by then.
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    INSERT INTO demo_acts (turn_id, chapter, phase, index, says, undo_when, key, plan, state, message,
                           begun_at, ended_at, epoch)
    VALUES (p_turn, p_chapter, p_phase, p_index, p_says, p_undo_when, p_key, p_plan,
            CASE WHEN p_failed IS NULL THEN 'Begun' ELSE 'Failed' END, p_failed,
            p_at, CASE WHEN p_failed IS NOT NULL THEN p_at END, p_epoch)
    ON CONFLICT DO NOTHING;
    RETURN FOUND;
END
$$;

-- Puts on record what came of it, once.
CREATE FUNCTION end_demo_act(
    p_turn bigint, p_chapter text, p_phase text, p_index bigint, p_state text, p_message text,
    p_at timestamptz, p_epoch bigint
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM fence(p_epoch);
    UPDATE demo_acts SET state = p_state, message = p_message, ended_at = p_at, epoch = p_epoch
        WHERE turn_id = p_turn AND chapter = p_chapter AND phase = p_phase AND index = p_index AND ended_at IS NULL;
END
$$;

-- Puts on record that it is about to be taken back, for which turn.
CREATE FUNCTION begin_demo_undo(
    p_turn bigint, p_chapter text, p_phase text, p_index bigint, p_for bigint, p_at timestamptz, p_epoch bigint
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM fence(p_epoch);
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    UPDATE demo_acts SET undo_turn = p_for, undo_begun_at = p_at, undo_ended_at = NULL, undo_error = NULL,
                         epoch = p_epoch
        WHERE turn_id = p_turn AND chapter = p_chapter AND phase = p_phase AND index = p_index;
END
$$;

-- Puts on record that it is taken back, or (with an error) that it cannot be.
CREATE FUNCTION end_demo_undo(
    p_turn bigint, p_chapter text, p_phase text, p_index bigint, p_error text, p_at timestamptz, p_epoch bigint
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM fence(p_epoch);
    UPDATE demo_acts SET undo_ended_at = p_at, undo_error = p_error, epoch = p_epoch
        WHERE turn_id = p_turn AND chapter = p_chapter AND phase = p_phase AND index = p_index;
END
$$;

REVOKE ALL ON FUNCTION
    begin_demo_turn(text, text, text, text, text, bigint, bigint, text, text, timestamptz, timestamptz, timestamptz,
                    boolean, bigint),
    end_demo_turn(bigint, text, text, timestamptz, bigint),
    begin_demo_act(bigint, text, text, bigint, text, text, text, text, text, timestamptz, bigint),
    end_demo_act(bigint, text, text, bigint, text, text, timestamptz, bigint),
    begin_demo_undo(bigint, text, text, bigint, bigint, timestamptz, bigint),
    end_demo_undo(bigint, text, text, bigint, text, timestamptz, bigint)
    FROM PUBLIC;
