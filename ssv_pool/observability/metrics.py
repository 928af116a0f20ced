"""Every metric, by name. ``docs/metrics.md`` is made from this table and held equal to it by a test."""

from prometheus_client import Counter, Gauge, Histogram

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0)
_SLOW = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)

MESSAGE_VALIDATIONS = Counter(
    "ssv_p2p_message_validations_total",
    "Gossip messages by verdict (accept, ignore, reject) and broken rule (empty when accepted).",
    ("verdict", "rule"),
)
PEERS_CONNECTED = Gauge("ssv_p2p_peers_connected", "Configured peers that are connected.")
GOSSIP_EVENTS = Gauge(
    "ssv_p2p_gossip_events_count",
    "Totals of the gossip layer since the start: messages, bytes, drops, duplicates, rebuilds of the host.",
    ("event",),
)
QUEUE_DROPPED = Counter("ssv_node_queue_dropped_total", "Messages dropped because a committee's queue was full.")
OUTBOX_DROPPED = Counter(
    "ssv_node_outbox_dropped_total", "Results dropped because the broker was away for too long.", ("kind",)
)
COMMITTEE_ERRORS = Counter("ssv_node_committee_errors_total", "Events that a committee failed on; the log says why.")
VALIDATORS = Gauge("ssv_validator_validators_per_status", "Own validators by status.", ("status",))
DUTIES = Counter("ssv_duty_ended_total", "Duties by outcome and reason.", ("role", "outcome", "reason"))
COMMANDS_DROPPED = Counter(
    "ssv_duty_commands_dropped_total",
    "Commands of workers that were not followed: late, repeated, malformed, or for an unknown_committee.",
    ("why",),
)
ROUNDS_CHANGED = Counter("ssv_validator_duty_rounds_changed_total", "Duties decided after round 1.", ("role",))
START_DELAY = Histogram(
    "ssv_duty_scheduler_slot_ticker_delay_duration_seconds", "Duty begun minus duty due.", ("role",), buckets=_FAST
)
PRE_CONSENSUS_TIME = Histogram(
    "ssv_runner_pre_consensus_duration_seconds", "Duty begun to a quorum of signatures.", ("role",), buckets=_FAST
)
BEACON_TIME = Histogram(
    "ssv_runner_beacon_answer_duration_seconds",
    "Beacon node asked for a block, aggregate or contribution to its answer; aggregates are held until they are due.",
    ("role",),
    buckets=_SLOW,
)
CONSENSUS_TIME = Histogram(
    "ssv_runner_consensus_duration_seconds", "Instance start to commit quorum.", ("role",), buckets=_FAST
)
POST_CONSENSUS_TIME = Histogram(
    "ssv_runner_post_consensus_duration_seconds", "Decided to rebuilt signature.", ("role",), buckets=_FAST
)
DUTY_TIME = Histogram(
    "ssv_runner_duty_duration_seconds", "Due to signature handed to a worker.", ("role",), buckets=_SLOW
)
SUBMISSIONS = Counter(
    "ssv_runner_submissions_total",
    "What was posted to beacon nodes, by kind and result: accepted, refused at first, late (given up), malformed; on a "
    "worker's own port.",
    ("kind", "result"),
)
LOOP_LAG = Histogram("event_loop_lag_seconds", "Lateness of a short sleep in the node's event loop.", buckets=_FAST)
BEACON_REQUEST_TIME = Histogram(
    "ssv_cl_request_duration_seconds",
    "Requests to beacon nodes, answered or not, by node (host:port) and endpoint; on a worker's own port.",
    ("node", "endpoint"),
    buckets=_FAST,
)
BEACON_SYNC_STATUS = Gauge(
    "ssv_cl_sync_status",
    "Where a beacon node (host:port) stands: 0 no answer, 1 syncing, 2 in sync but its execution node is not, 3 in "
    "sync; on a worker's own port.",
    ("node",),
)
LAST_BLOCK = Gauge("ssv_event_syncer_handler_last_processed_block", "Last execution block whose events are applied.")
SYNC_LAG = Gauge("ssv_event_syncer_lag_blocks", "Settled execution blocks whose events are not applied yet.")
SYNC_REPAIRS = Gauge(
    "ssv_event_syncer_repairs_count",
    "What registry sync put right since the store was made: `gap`, a block whose events an execution node left out or "
    "made up; `rollback`, applied blocks taken back after a deep reorganisation.",
    ("kind",),
)
EXECUTION_LAG = Gauge(
    "ssv_el_lag_blocks",
    "Blocks that an execution node (host:port) is behind the best one; -1 when it did not do what it was asked last.",
    ("node",),
)
EVENTS_MALFORMED = Gauge(
    "ssv_event_syncer_malformed_events_count", "Registry events that break a rule and changed nothing.", ("reason",)
)
SHARES_BAD = Gauge("ssv_signer_shares_bad_count", "Own shares that do not decrypt or do not match.")
