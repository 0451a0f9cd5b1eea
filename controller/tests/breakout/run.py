# ── running all of it ────────────────────────────────────────────────────────────────────────────────
#
# Each attempt is a process of its own: what hangs is killed, what crashes takes nothing along. One line of
# JSON for each, and a summary at the end. `outcome` is held, BROKE, hung, error or skipped.
#
# BREAKOUT has: socket, bare, quiet (nothing is said of what was held), groups (only these), own {id, name,
# image, image_id, network, project}, own_network2, foreign {id, name, image, image_id, network, network_id,
# volume, exec, project, address, secret, guest_id, guest_name}, agent, agent_name, ours [ids], spool,
# replacement, host_equal {running, stopped}, host_file [path, content], engine_id, net {gateways, hosts, hosts6, tcp_port, udp_port, tcp [[label, host, port]], udp, foreign,
# foreign_port, foreign_names, name_servers, vsock_port}, controls [[host, port]].

import traceback

WHOLE = CFG.get("whole", 420)  # a suite that hangs ends; a slow machine is no finding


def start(item):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading, time.monotonic()
    os.close(reading)
    os.setpgid(0, 0)
    try:
        item["run"]()
        result = ("held", "")
    except Broke as found:
        result = ("BROKE", str(found)[:800])
    except Skipped as why:
        result = ("skipped", str(why))
    except Silent as why:
        result = ("hung", str(why))
    except (ConnectionResetError, BrokenPipeError):
        result = ("held", "the connection was closed")
    except Exception:  # noqa: BLE001: whatever it is, it is told.
        result = ("error", traceback.format_exc(limit=-3)[-800:])
    try:
        os.write(writing, json.dumps(result).encode()[:4000])
    finally:
        os._exit(0)


def finish(item, running):
    pid, reading, began = running
    took = time.monotonic() - began
    data = os.read(reading, 65536) if select.select([reading], [], [], 0)[0] else None
    if data is None and took < item["limit"]:
        return None
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    os.waitpid(pid, 0)
    os.close(reading)
    if data is None:
        outcome, detail = "hung", f"it did not end within {item['limit']} s"
    elif not data:
        outcome, detail = "error", "its process ended without a word"
    else:
        try:
            outcome, detail = json.loads(data)
        except ValueError:
            outcome, detail = "BROKE" if b"BROKE" in data else "error", data.decode("utf-8", "replace")
    return {"name": item["name"], "group": item["group"], "outcome": outcome, "detail": detail[-800:], "ms": int(took * 1000)}


def controls():
    """What must work, for else nothing that was held says anything."""
    found = {}
    try:
        found["ping"] = get("/_ping").status
        names = [name for entry in get("/containers/json?all=1").json() or [] for name in entry.get("Names", [])]
        found["list_has_own"] = "/" + ONAME in names
        answer, made = create(base())
        found["create"] = answer.status
        if not made:
            found["create_says"] = answer.text[:300]
        _, ran = run_exec(OID, {"Cmd": ["echo", "control-word"]}, "control-word")
        found["exec"] = bool(ran)
    except Exception as error:  # noqa: BLE001
        found["error"] = repr(error)
    for host, port in CFG.get("controls", []):
        try:
            connects(host, port)
            found[f"{host}:{port}"] = False
        except Broke:
            found[f"{host}:{port}"] = True
    return found


def main():
    began = time.monotonic()
    only = CFG.get("groups")
    chosen = [item for item in ATTEMPTS if not only or item["group"] in only]
    results, before = [], controls()

    def tell(result):
        results.append(result)
        if result["outcome"] != "held" or not CFG.get("quiet"):
            print(json.dumps(result), flush=True)

    side = [item for item in chosen if not item["alone"]]
    running = []
    for item in [item for item in chosen if item["alone"]] + [None]:
        # Those of the network wait more than they work: eight at a time, beside the others.
        while True:
            while side and len(running) < 8:
                running.append((side[0], start(side.pop(0))))
            for pair in list(running):
                result = finish(*pair)
                if result:
                    tell(result)
                    running.remove(pair)
            if item is not None or not (side or running):
                break
            time.sleep(0.01)
        if item is None:
            break
        if time.monotonic() - began > WHOLE:
            tell({"name": item["name"], "group": item["group"], "outcome": "error", "detail": "no time was left for it", "ms": 0})
            continue
        current = start(item)
        while (result := finish(item, current)) is None:
            select.select([current[1]], [], [], 0.05)
        tell(result)
    count = {}
    for result in results:
        count[result["outcome"]] = count.get(result["outcome"], 0) + 1
    summary = {"attempts": len(results), "seconds": round(time.monotonic() - began, 1), "before": before, "after": controls()}
    print(json.dumps({"summary": {**summary, **count}}), flush=True)


main()
