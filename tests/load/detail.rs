//! What is told of the run over time, and of each connection: it adds up to what the report says as a whole.

use serde_json::Value;

use super::{echo, greeting_server, load, server};

fn column(json: &Value, pointer: &str) -> Vec<u64> {
    let values =
        json.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("{pointer} in {json}"));
    values.iter().map(|value| value.as_u64().unwrap()).collect()
}

fn rows(json: &Value, pointer: &str) -> Vec<Vec<u64>> {
    let count = json.pointer(pointer).and_then(Value::as_array).unwrap().len();
    (0..count).map(|index| column(json, &format!("{pointer}/{index}"))).collect()
}

#[test]
fn slices_add_up_to_the_report() {
    let flags = "--greet --slices 50ms --warmup 100ms --duration 300ms --connections 6";
    for load_flags in ["--rate 3000 --threads 2", "--pipeline 2 --threads 3", "--rate 2000 --churn 20"] {
        let run = load(greeting_server(), &format!("{flags} {load_flags}"));
        run.assert_clean();
        let slices = &run.json["slices"];
        let (from, until) = (run.count("/slices/measured_from"), run.count("/slices/measured_until"));
        assert_eq!((run.count("/slices/slice_ns"), until - from), (50_000_000, 6), "{slices}");
        let measured = from as usize..until as usize;
        let due = column(slices, "/due");
        assert_eq!(due[measured.clone()].iter().sum::<u64>(), run.count("/sent"), "{slices}");
        assert!(due[..measured.start].iter().sum::<u64>() > 0, "the warm-up is there as well: {slices}");
        let answered = column(slices, "/answered");
        let rate = run.json["rate_per_s"].as_f64().unwrap();
        assert_eq!(answered[measured.clone()].iter().sum::<u64>(), (rate * 0.3).round() as u64, "{slices}");
        assert_eq!(answered.iter().sum::<u64>(), due.iter().sum::<u64>());
        let of_workers = rows(slices, "/answered_by_worker");
        assert_eq!(of_workers.iter().flatten().sum::<u64>(), answered.iter().sum::<u64>());
        let heat = rows(slices, "/heat/counts");
        assert_eq!(
            heat.iter().map(|row| row.iter().sum()).collect::<Vec<u64>>(),
            due,
            "a row has what was due"
        );
        assert_eq!(heat.len(), slices["p99_ns"].as_array().unwrap().len());
    }
}

#[test]
fn slices_tell_what_each_worker_has_open() {
    let run = load(
        greeting_server(),
        "--greet --connect-only --slices 10ms --connections 9 --connect-spacing 20ms --threads 3",
    );
    let open = rows(&run.json, "/slices/open_by_worker");
    assert_eq!(open.len(), 3);
    let total: Vec<u64> = (0..open[0].len()).map(|slice| open.iter().map(|row| row[slice]).sum()).collect();
    assert!(total.is_sorted() && total[0] < 9 && total.last() == Some(&9), "{open:?}");
    // Under churn as many are open as before, whichever worker they are with.
    let run = load(greeting_server(), "--greet --churn 1 --slices 20ms --connections 5 --messages 2000");
    let open = rows(&run.json, "/slices/open_by_worker");
    let until = run.count("/slices/measured_until") as usize;
    assert!((0..until).all(|slice| open.iter().map(|row| row[slice]).sum::<u64>() <= 5), "{open:?}");
}

#[test]
fn connections_are_told_one_by_one() {
    let run =
        load(greeting_server(), "--greet --per-connection --connections 12 --messages 2400 --threads 2");
    run.assert_clean();
    let told = &run.json["by_connection"];
    let (workers, messages) = (column(told, "/worker"), column(told, "/messages"));
    assert_eq!(messages.iter().sum::<u64>(), 2_400);
    for of_worker in run.json["by_worker"].as_array().unwrap() {
        let own = workers.iter().zip(&messages).filter(|(worker, _)| of_worker["worker"] == **worker);
        assert_eq!(
            own.clone().map(|(_, messages)| messages).sum::<u64>(),
            of_worker["messages"].as_u64().unwrap()
        );
        assert_eq!(own.count(), 4);
    }
    let (p50_ns, p99_ns) = (column(told, "/p50_ns"), column(told, "/p99_ns"));
    assert!(p50_ns.iter().zip(&p99_ns).all(|(p50_ns, p99_ns)| 0 < *p50_ns && p50_ns <= p99_ns), "{told}");
    // A place that several workers served is nobody's.
    let run = load(greeting_server(), "--greet --per-connection --connections 2 --churn 5 --messages 100");
    let workers = run.json["by_connection"]["worker"].as_array().unwrap();
    assert!(workers.iter().all(Value::is_null), "{workers:?}");
}

#[test]
fn what_was_not_asked_for_is_not_there() {
    let run = load(server(echo), "--messages 10 --connections 1");
    assert!(run.json.get("slices").is_none() && run.json.get("by_connection").is_none(), "{}", run.json);
    assert_eq!(run.count("/threads"), 1);
}
