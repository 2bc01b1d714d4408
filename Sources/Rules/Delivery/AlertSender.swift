// SPDX-License-Identifier: Apache-2.0
// Alerts on their way to one Alertmanager.

import Base
import Synchronization
import Telemetry

/// A bounded queue and the requests that empty it, one after the other.
///
/// What cannot be delivered is dropped: an alert that goes on is sent again after the resend delay
/// anyway, and a queue of old news would only delay it.
final class AlertSender: Sendable {
    struct Status: Sendable {
        var url: String
        var sent = 0
        var errors = 0
        var dropped = 0
        var queued = 0
        /// Requests that were answered, and the seconds they took.
        var requests = 0
        var seconds = 0.0
    }

    private struct State: Sendable {
        var queue: [OutgoingAlert] = []
        var status: Status
        var task: Task<Void, Never>?
        var isStopped = false
    }

    static let batchSize = 256
    private let posting: any AlertPosting
    private let timeoutSeconds: Double
    private let capacity: Int
    private let clock: any Clock
    private let report: @Sendable (String) -> Void
    private let state: Mutex<State>

    init(
        _ url: String, _ set: AlertmanagerSet, capacity: Int, clock: any Clock,
        report: @escaping @Sendable (String) -> Void
    ) {
        posting = set.posting
        timeoutSeconds = set.timeoutSeconds
        self.capacity = capacity
        self.clock = clock
        self.report = report
        state = Mutex(State(status: Status(url: url)))
    }

    var status: Status {
        state.withLock { state in
            var status = state.status
            status.queued = state.queue.count
            return status
        }
    }

    /// Queues alerts; the oldest make room.
    func add(_ alerts: [OutgoingAlert]) {
        let dropped = state.withLock { state -> Int in
            guard !state.isStopped else { return 0 }
            state.queue += alerts
            let excess = max(0, state.queue.count - capacity)
            state.queue.removeFirst(excess)
            state.status.dropped += excess
            if state.task == nil, !state.queue.isEmpty {
                state.task = Task { await self.drain() }
            }
            return excess
        }
        if dropped > 0 { report("notification queue full: \(dropped) alerts dropped") }
    }

    /// Goes on where another sender to the same place stops, counters included.
    func takeOver(_ other: AlertSender) {
        let (queue, status) = other.state.withLock { state in
            state.isStopped = true
            defer { state.queue = [] }
            return (state.queue, state.status)
        }
        state.withLock { $0.status = status }
        add(queue)
    }

    /// Takes no more; `finished` returns when the queue is empty.
    func stop() { state.withLock { $0.isStopped = true } }

    /// Ends the request under way and forgets the rest.
    func cancel() {
        state.withLock { state in
            state.isStopped = true
            state.status.dropped += state.queue.count
            state.queue = []
            return state.task
        }?.cancel()
    }

    func finished() async { await state.withLock { $0.task }?.value }

    private func drain() async {
        while true {
            let batch = state.withLock { state -> [OutgoingAlert] in
                let batch = Array(state.queue.prefix(Self.batchSize))
                state.queue.removeFirst(batch.count)
                if batch.isEmpty { state.task = nil }
                return batch
            }
            if batch.isEmpty { return }
            await send(batch)
        }
    }

    private func send(_ batch: [OutgoingAlert]) async {
        let started = clock.monotonicNanos
        let url = state.withLock { $0.status.url }
        var failure: String?
        do {
            let status = try await posting.post(
                alertsJSON(batch), to: url, timeoutSeconds: timeoutSeconds)
            if status / 100 != 2 { failure = "bad response status \(status)" }
        } catch { failure = "\(error)" }
        let seconds = Double(clock.monotonicNanos &- started) / 1e9
        state.withLock { state in
            state.status.requests += 1
            state.status.seconds += seconds
            if failure == nil {
                state.status.sent += batch.count
            } else {
                state.status.errors += batch.count
                state.status.dropped += batch.count
            }
        }
        if let failure { report("\(batch.count) alerts not sent to \(url): \(failure)") }
    }
}

/// The body of `POST /api/v2/alerts`.
package func alertsJSON(_ alerts: [OutgoingAlert]) -> [UInt8] {
    var json = JSONWriter(reserving: 256 * alerts.count)
    json.beginArray()
    for alert in alerts {
        json.beginObject()
        json.key("annotations")
        json.beginObject()
        for annotation in alert.annotations { json.member(annotation.name, annotation.value) }
        json.endObject()
        json.member("endsAt", rfc3339Text(millis: millisRoundedDown(alert.endsAtNanos)))
        json.member("startsAt", rfc3339Text(millis: millisRoundedDown(alert.startsAtNanos)))
        json.member("generatorURL", alert.generatorURL)
        json.key("labels")
        json.beginObject()
        for label in alert.labels.pairs { json.member(label.name, label.value) }
        json.endObject()
        json.endObject()
    }
    json.endArray()
    return json.bytes
}
