//! The scheduler's words as JSON.

use greenroom_proto::v1;
use serde_json::{Value, json};

use super::{text, time};

/// Why a task waits.
pub(crate) fn explanation(why: &v1::Explanation) -> Value {
    json!({
        "task": why.task,
        "kind": why.kind,
        "shot": text(&why.shot),
        "take": (why.take > 0).then_some(why.take),
        "code": why.code,
        "sentence": why.sentence,
        "remedy": text(&why.remedy),
    })
}

/// A task of the queue.
pub(crate) fn queued(queued: &v1::QueuedTask) -> Value {
    let mut value = queued.why.as_ref().map(explanation).unwrap_or_default();
    value["job"] = json!(queued.job);
    value["position"] = json!((queued.position > 0).then_some(queued.position));
    value["eta"] = json!(queued.eta.as_ref().map(time));
    value
}

/// A machine.
pub(crate) fn node(node: &v1::Node) -> Value {
    json!({
        "name": node.name,
        "state": node.state,
        "reason": text(&node.reason),
        "devices": node.devices.iter().map(device).collect::<Value>(),
    })
}

/// A worker with its device.
pub(crate) fn device(device: &v1::NodeDevice) -> Value {
    json!({
        "worker": device.worker,
        "device": device.device,
        "kind": device.kind,
        "model": text(&device.model),
        "memory_mib": device.memory_mib,
        "free_mib": device.free_mib,
        "threads": device.threads,
        "tags": device.tags,
        "warm": device.warm,
        "tasks": device.tasks,
        "uuid": text(&device.uuid),
        "profile": text(&device.profile),
        "ram_mib": device.ram_mib,
        "unused_mib": device.unused_mib,
        "others_mib": device.others_mib,
        "others": device.others,
        "temperature_c": device.temperature_c,
        "ecc_errors": device.ecc_errors,
        "unfit": text(&device.unfit),
    })
}

/// A limit and what counts against it.
pub(crate) fn limit(limit: &v1::LimitUse) -> Value {
    json!({
        "name": limit.name,
        "used": limit.used,
        "at_once": limit.at_once,
        "begun": limit.begun,
        "per_minute": limit.per_minute,
        "per": limit.per,
    })
}
