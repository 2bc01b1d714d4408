// SPDX-License-Identifier: Apache-2.0
// What the operator should know now.

import Base
import HTTPTypes
import ServiceLifecycle
import Storage
import Synchronization

/// `notifications` and `notifications/live`. Source: prometheus/prometheus
/// `util/notifications/notifications.go`, `web/api/v1/api.go`.
///
/// What is true is asked for when somebody looks: a reload that failed, a storage that refuses
/// writes, damage that was found.
final class Notifications: Sendable {
    struct Notification: Sendable, Equatable {
        var text: String
        var nanos: Int64
        var isActive: Bool

        func write(into json: inout JSONWriter) {
            json.beginObject()
            json.member("text", text)
            json.member("date", rfc3339Text(nanos: nanos))
            json.member("active", isActive)
            json.endObject()
        }
    }

    private struct State {
        var since: [String: Int64] = [:]
        var subscribers = 0
    }
    private let state = Mutex(State())
    private let clock: any Clock
    private let current: @Sendable () -> [String]
    private let maxSubscribers: Int
    fileprivate let intervalSeconds: Double

    /// - Parameters:
    ///   - maxSubscribers: who may listen at once.
    ///   - intervalSeconds: how often listeners' news are looked for.
    ///   - current: texts of what is true now.
    init(
        clock: any Clock, maxSubscribers: Int = 16, intervalSeconds: Double = 1,
        current: @escaping @Sendable () -> [String]
    ) {
        self.clock = clock
        self.maxSubscribers = maxSubscribers
        self.intervalSeconds = intervalSeconds
        self.current = current
    }

    convenience init(core: Core, scraping: Scraping) {
        let kernel = core.kernel
        self.init(clock: core.queries.clock) {
            let status = kernel.status
            var texts: [String] = []
            if !scraping.lastReload.isSuccessful {
                texts.append("Configuration reload has failed.")
            }
            if let reason = status.refusal { texts.append("Writes are refused: \(reason).") }
            if !status.faults.isEmpty {
                texts.append(
                    "\(status.faults.count) damaged files or records were found: run "
                        + "`tern check data` on the data directory.")
            }
            return texts
        }
    }

    /// What holds now, each with the time it was first seen.
    var active: [Notification] {
        let texts = current()
        let now = clock.wallNanos
        return state.withLock { state in
            state.since = state.since.filter { texts.contains($0.key) }
            for text in texts where state.since[text] == nil { state.since[text] = now }
            return texts.map {
                Notification(text: $0, nanos: state.since[$0] ?? now, isActive: true)
            }
        }
    }

    func list(_ request: APIRequest) async throws -> APIResponse {
        let active = self.active
        return prometheusSuccess { json in
            json.beginArray()
            for notification in active { notification.write(into: &json) }
            json.endArray()
        }
    }

    /// Server-sent events: what holds, then each change. 204 when as many listen as may.
    func live(_ request: APIRequest) async throws -> APIResponse {
        let isLetIn = state.withLock { state in
            guard state.subscribers < maxSubscribers else { return false }
            state.subscribers += 1
            return true
        }
        guard isLetIn else { return .noContent }
        var answer = APIResponse(.ok, contentType: "text/event-stream")
        answer.headers[.cacheControl] = "no-cache"
        // Each event is to arrive when it happens.
        answer.isPlain = true
        answer.stream = NotificationStream(self, ConnectionWatch.current)
        return answer
    }

    fileprivate func leave() { state.withLock { $0.subscribers -= 1 } }
    var subscribers: Int { state.withLock { $0.subscribers } }
}

/// One listener.
private final class NotificationStream: BodyStream {
    private let source: Notifications
    private let isClosed = Atomic(false)
    private let hasLeft = Atomic(false)
    private let known = Mutex<(sent: [Notifications.Notification], isOpen: Bool)>(([], false))

    init(_ source: Notifications, _ watch: ConnectionWatch?) {
        self.source = source
        // The closure holds the flag's owner as long as the connection lives, and no longer.
        _ = watch?.onClose { [weak self] in self?.isClosed.store(true, ordering: .relaxed) }
    }

    deinit { end() }

    func end() {
        if !hasLeft.exchange(true, ordering: .relaxed) { source.leave() }
    }

    func next() async throws -> [UInt8]? {
        // Something to send at once shows the client that the stream is open.
        let isFirst = known.withLock { known in
            defer { known.isOpen = true }
            return !known.isOpen
        }
        if isFirst {
            let news = changes()
            return news.isEmpty ? Array(": open\n\n".utf8) : news
        }
        // A server that stops does not wait for listeners.
        while !isClosed.load(ordering: .relaxed), !Task.isShuttingDownGracefully {
            try await Task.sleep(for: .seconds(source.intervalSeconds))
            let news = changes()
            if !news.isEmpty { return news }
        }
        return nil
    }

    private func changes() -> [UInt8] {
        let active = source.active
        let events = known.withLock { known in
            let ended = known.sent.filter { !active.contains($0) }
            let begun = active.filter { !known.sent.contains($0) }
            known.sent = active
            return ended.map {
                Notifications.Notification(text: $0.text, nanos: $0.nanos, isActive: false)
            }
                + begun
        }
        var bytes: [UInt8] = []
        for event in events {
            var json = JSONWriter()
            event.write(into: &json)
            bytes += Array("data: ".utf8) + json.bytes + Array("\n\n".utf8)
        }
        return bytes
    }
}
