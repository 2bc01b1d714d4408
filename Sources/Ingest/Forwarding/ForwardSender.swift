// SPDX-License-Identifier: Apache-2.0
// One destination's way out of the queue.

import Base
import Synchronization
import Telemetry
import Wire

/// Reads the queue window by window, sends the window's shards side by side and each shard's
/// requests one after another, and moves the cursor when all have been taken or refused for good.
/// While the destination is away a window is repeated; the queue grows behind it.
///
/// Rules of retrying: 5xx, network failures and, where the settings say so, 429 are tried again
/// with a back-off that doubles, or after `Retry-After`; any other status is final. A destination
/// that answers 415 to version 2, or 2xx without saying how much it has written, knows version 1
/// only and gets it from then on. Source: prometheus/prometheus `storage/remote/client.go`,
/// `queue_manager.go`.
package final class ForwardSender: Sendable {
    package let settings: ForwardSettings
    let queue: ForwardQueue
    let transport: any ForwardTransport
    let clock: any Clock
    let warn: @Sendable (String) -> Void
    private let assembly: Mutex<ForwardAssembly>
    let totals = Mutex(ForwardTotals())
    private let isStopping = Atomic<Bool>(false)

    /// Between two looks at an empty queue, and at a disk that failed.
    private static let pollSeconds = 0.1
    private static let diskRetrySeconds = 1.0
    private static let pieceSeconds = 0.25
    /// Longest wait that a destination may ask for.
    private static let longestWaitSeconds = 300.0

    package init(
        _ settings: ForwardSettings, queue: ForwardQueue, transport: any ForwardTransport,
        clock: any Clock, warn: @escaping @Sendable (String) -> Void
    ) {
        self.settings = settings
        self.queue = queue
        self.transport = transport
        self.clock = clock
        self.warn = warn
        assembly = Mutex(ForwardAssembly(settings))
    }

    package var status: ForwardTotals { totals.withLock { $0 } }

    /// No new request is begun from now on; `run` returns when those under way are answered, or
    /// when its task is cancelled.
    package func stop() { isStopping.store(true, ordering: .relaxed) }

    private var mayGoOn: Bool {
        !isStopping.load(ordering: .relaxed) && !Task.isCancelled
    }

    /// Sends until it is stopped or cancelled.
    package func run() async {
        var waitingSince: Int64?
        while mayGoOn {
            do {
                let pending = queue.pendingPoints(settings.name)
                let desired = max(1, (pending - 1) / settings.samplesPerRequest + 1)
                let shards = min(max(desired, settings.minShards), settings.maxShards)
                totals.withLock { totals in
                    totals.desiredShards = desired
                    totals.shards = shards
                }
                let isFull = pending >= settings.samplesPerRequest
                let isDue = waitingSince.map {
                    Double(clock.monotonicNanos - $0) / 1e9 >= settings.batchDeadlineSeconds
                }
                if !isFull, isDue != true {
                    if waitingSince == nil, hasData { waitingSince = clock.monotonicNanos }
                    try await clock.sleep(
                        seconds: min(ForwardSender.pollSeconds, settings.batchDeadlineSeconds))
                    continue
                }
                waitingSince = nil
                try await sendWindow(shards)
            } catch is CancellationError {
                return
            } catch {
                note("\(error)")
                // Cut short when the sender is to end.
                do { try await clock.sleep(seconds: ForwardSender.diskRetrySeconds) } catch {
                    return
                }
            }
        }
    }

    private var hasData: Bool { queue.hasData(settings.name) }

    private func sendWindow(_ wanted: Int) async throws {
        let name = settings.name
        let points = wanted * settings.samplesPerRequest
        let window = try await queue.pool.run { [queue] in
            try queue.read(name, points: points)
        }
        guard let window else { return }
        let shards = min(window.shards ?? wanted, 1024)
        try await queue.pool.run { [queue] in try queue.begin(name, window, shards: shards) }
        let (nowMillis, nowNanos) = (clock.wallNanos / 1_000_000, clock.monotonicNanos)
        let version = self.version
        let (pieces, leftOut) = try await queue.pool.run { [self] in
            try assembly.withLock {
                try $0.pieces(
                    of: window.records, shards: shards, version: version, nowMillis: nowMillis,
                    nowNanos: nowNanos)
            }
        }
        totals.withLock { $0.leftOut.add(leftOut) }
        let isDone = await withTaskGroup(of: Bool.self) { group in
            for shard in pieces where !shard.isEmpty {
                group.addTask { [self] in
                    for piece in shard {
                        guard mayGoOn, await deliver(piece) else { return false }
                    }
                    return true
                }
            }
            return await group.allSatisfy { $0 }
        }
        // What was not taken stays in the queue for the next start.
        guard isDone else { return }
        try await queue.pool.run { [queue] in try queue.advance(name, past: window) }
    }

    /// Sleeps in pieces, so that a stop is soon noticed.
    private func pause(_ seconds: Double) async throws {
        var rest = seconds
        while rest > 0, mayGoOn {
            try await clock.sleep(seconds: min(rest, ForwardSender.pieceSeconds))
            rest -= ForwardSender.pieceSeconds
        }
    }

    var version: ForwardVersion {
        totals.withLock { $0.isFallenBack } ? .one : settings.version
    }

    // MARK: - One request

    private enum Verdict {
        case taken
        case refused(String)
        /// After so many seconds, or when the back-off says.
        case again(String, seconds: Double?)
        case otherVersion(String)
    }

    /// Whether the piece is out of the way: taken or refused for good.
    private func deliver(_ piece: ForwardPiece) async -> Bool {
        var backoff = settings.minBackoffSeconds
        var batch = piece.batch
        while true {
            let version = self.version
            var contents = batch.contents
            do {
                let body = try await queue.pool.run { [batch] in
                    Snappy.compress(
                        version == .one
                            ? try RemoteWrite1.encode(batch) : try RemoteWrite2.encode(batch))
                }
                let began = clock.monotonicNanos
                let verdict = await attempt(body, version, piece.tenant, &contents)
                let seconds = Double(clock.monotonicNanos - began) / 1e9
                switch verdict {
                case .taken:
                    totals.withLock { totals in
                        totals.add(contents, \.sent)
                        totals.bytes += body.count
                        totals.requests += 1
                        totals.requestSeconds += seconds
                        totals.highestMillis = max(totals.highestMillis, contents.highestMillis)
                        totals.lastError = nil
                    }
                    return true
                case .refused(let reason):
                    totals.withLock { $0.add(contents, \.failed) }
                    note("\(contents.text) refused for good: \(reason)")
                    return true
                case .otherVersion(let reason):
                    totals.withLock { $0.isFallenBack = true }
                    note("remote write 2.0 is not understood (\(reason)): 1.0 is sent from now on")
                    continue
                case .again(let reason, let seconds):
                    totals.withLock { $0.add(contents, \.retried) }
                    note("tried again: \(reason)")
                    try await pause(min(seconds ?? backoff, ForwardSender.longestWaitSeconds))
                    backoff = min(2 * backoff, settings.maxBackoffSeconds)
                    guard mayGoOn else { return false }
                }
            } catch is CancellationError {
                return false
            } catch {
                // It was decoded from the queue a moment ago, so this is a fault of ours.
                totals.withLock { $0.add(contents, \.failed) }
                note("cannot be encoded: \(error)")
                return true
            }
            guard settings.sampleAgeLimitSeconds > 0, batch.pointCount > 0 else { continue }
            let oldest =
                clock.wallNanos / 1_000_000 - Int64(settings.sampleAgeLimitSeconds * 1000)
            let before = batch.pointCount
            let left = batch.since(oldest)
            totals.withLock { $0.leftOut.byAge += before - (left?.pointCount ?? 0) }
            guard let left else { return true }
            batch = left
        }
    }

    private func attempt(
        _ body: [UInt8], _ version: ForwardVersion, _ tenant: Tenant,
        _ contents: inout ForwardContents
    ) async -> Verdict {
        let reply: ForwardReply
        do {
            reply = try await transport.send(
                ForwardRequest(
                    body: body, headers: version.headers, tenant: tenant,
                    timeoutSeconds: settings.timeoutSeconds))
        } catch {
            return .again("\(error)", seconds: nil)
        }
        let text = "server returned HTTP status \(reply.status): \(reply.text)"
        switch reply.status {
        case 200..<300:
            guard version == .two, contents.samples + contents.histograms > 0 else {
                return .taken
            }
            guard reply.written("Samples") != nil else {
                return .otherVersion("it did not say how many samples it has written")
            }
            settle(reply, &contents)
            return .taken
        case 415 where version == .two:
            return .otherVersion(text)
        case 429 where settings.retriesTooManyRequests, 500..<600:
            return .again(text, seconds: reply.retryAfterSeconds(clock.wallNanos))
        default:
            if version == .two { settle(reply, &contents) }
            return .refused(text)
        }
    }

    /// What a destination of version 2 has written of a request, the rest being refused; leaves
    /// what the verdict is about in `contents`.
    private func settle(_ reply: ForwardReply, _ contents: inout ForwardContents) {
        let isTaken = (200..<300).contains(reply.status)
        var other = ForwardContents()
        func split(_ field: WritableKeyPath<ForwardContents, Int>, _ name: String) {
            let all = contents[keyPath: field]
            let written = min(max(reply.written(name) ?? 0, 0), all)
            contents[keyPath: field] = isTaken ? written : all - written
            other[keyPath: field] = all - contents[keyPath: field]
        }
        split(\.samples, "Samples")
        split(\.histograms, "Histograms")
        split(\.exemplars, "Exemplars")
        totals.withLock { $0.add(other, isTaken ? \.failed : \.sent) }
        if isTaken, other.samples + other.histograms + other.exemplars > 0 {
            note("\(other.text) were not written, although the answer is \(reply.status)")
        }
    }

    /// Tells the log, the same text once until another one or a success.
    private func note(_ text: String) {
        let isNew = totals.withLock { totals in
            defer { totals.lastError = text }
            return totals.lastError != text
        }
        if isNew { warn("forwarding to \(settings.name) (\(settings.url)): \(text)") }
    }
}

extension ForwardVersion {
    /// Source: the remote write 1.0 and 2.0 specifications.
    fileprivate var headers: [(name: String, value: String)] {
        let type =
            self == .one
            ? "application/x-protobuf"
            : "application/x-protobuf;proto=io.prometheus.write.v2.Request"
        return [
            ("Content-Encoding", "snappy"), ("Content-Type", type),
            ("X-Prometheus-Remote-Write-Version", self == .one ? "0.1.0" : "2.0.0"),
        ]
    }
}

extension ForwardReply {
    fileprivate func written(_ kind: String) -> Int? {
        header("X-Prometheus-Remote-Write-\(kind)-Written").flatMap { Int($0) }
    }

    /// Seconds until another attempt is welcome. Source: RFC 9110 section 10.2.3.
    fileprivate func retryAfterSeconds(_ nowNanos: Int64) -> Double? {
        guard let text = header("Retry-After") else { return nil }
        if let seconds = Int(text) { return Double(max(0, seconds)) }
        return httpDateSeconds(text).map { max(0, Double($0) - Double(nowNanos) / 1e9) }
    }
}

extension ForwardLeftOut {
    mutating func add(_ other: ForwardLeftOut) {
        byRelabelling += other.byRelabelling
        byAge += other.byAge
        histograms += other.histograms
        exemplars += other.exemplars
    }
}

extension MetricBatch {
    var contents: ForwardContents {
        ForwardContents(
            samples: sampleSeries.count, histograms: histogramSeries.count,
            exemplars: exemplarSeries.count,
            metadata: pointCount == 0 ? metadata.count : 0,
            highestMillis: max(sampleMillis.max() ?? 0, histogramMillis.max() ?? 0))
    }
}
