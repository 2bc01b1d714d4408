// SPDX-License-Identifier: Apache-2.0
// Following one resource of a cluster.

import Base
import Synchronization

/// A change of a cluster, as a list or a watch tells it.
enum ClusterChange: Sendable {
    /// All there is, in place of what there was.
    case all([ClusterObject])
    case put(ClusterObject)
    case gone(ClusterObject)
}

/// Lists a resource, then watches it from there; lists again when the API server has forgotten
/// where the watch was. Source: kubernetes.io, "Kubernetes API Concepts", efficient detection of
/// changes.
struct ClusterWatch: Sendable {
    let access: ClusterAccess
    let resource: ClusterResource
    /// Empty = all.
    let namespace: String
    let selector: KubernetesDiscoverySettings.Selector?
    let delivery: DiscoveryDelivery
    let onChange: @Sendable (ClusterChange) -> Void

    /// Objects per page of a list.
    private static let pageSize = 500
    /// Most bytes of one event.
    private static let eventLimit = 16 << 20
    /// Seconds that a watch lasts; the server ends it.
    private static let watchSeconds = 300
    private static let firstBackOffSeconds = 0.8
    private static let longestBackOffSeconds = 30.0

    /// The version that a watch or a page was to go on from is no longer known.
    private struct Gone: Error {}

    /// What of a stream is not a whole line yet, and the version it has come to.
    private final class Reading: Sendable {
        let state: Mutex<(rest: [UInt8], version: String)>
        init(_ version: String) { state = Mutex(([], version)) }
    }

    func run() async {
        let clock = delivery.environment.clock
        var version: String?
        var backOff = Self.firstBackOffSeconds
        while !Task.isCancelled {
            do {
                let started = clock.monotonicNanos
                let from: String
                if let version { from = version } else { from = try await list() }
                version = from
                version = try await watch(from: from)
                backOff = Self.firstBackOffSeconds
                // A server that ends watches at once is not asked all the time.
                let rest = 1_000_000_000 &- (clock.monotonicNanos &- started)
                if rest > 0 { try await clock.sleep(seconds: Double(rest) / 1e9) }
            } catch is Gone {
                version = nil
            } catch {
                if Task.isCancelled { return }
                delivery.environment.metrics.add(.kubernetesFailures)
                delivery.note("\(resource.rawValue) not watched: \(error)")
                delivery.fail()
                let random = Double(delivery.environment.random.next() >> 11) / 0x1p53
                do { try await clock.sleep(seconds: backOff * (1 + random)) } catch { return }
                backOff = min(backOff * 2, Self.longestBackOffSeconds)
            }
        }
    }

    private func request(_ query: [NamedText], timeoutSeconds: Double) -> DiscoveryRequest {
        var query = query
        if let selector {
            if !selector.label.isEmpty { query.append(NamedText("labelSelector", selector.label)) }
            if !selector.field.isEmpty { query.append(NamedText("fieldSelector", selector.field)) }
        }
        let text = query.map { "\($0.name)=\(percentEncodedSegment($0.value))" }
            .joined(separator: "&")
        var request = DiscoveryRequest(
            url: access.server + resource.path(namespace: namespace) + "?" + text,
            timeoutSeconds: timeoutSeconds, client: access.client)
        request.headers = [
            NamedText("Accept", "application/json"),
            NamedText("User-Agent", delivery.environment.userAgent),
        ]
        return request
    }

    // MARK: list

    /// Lists everything.
    ///
    /// - Returns: the version from which to watch.
    private func list() async throws -> String {
        var objects: [ClusterObject] = []
        var token = ""
        while true {
            var query = [NamedText("limit", String(Self.pageSize))]
            if !token.isEmpty { query.append(NamedText("continue", token)) }
            let answer = try await delivery.environment.fetcher.fetch(
                request(query, timeoutSeconds: 60))
            if answer.status == 410 { throw Gone() }
            guard answer.status == 200 else { throw failure(answer) }
            let tree = try JSONTree(answer.body)
            objects += tree["items"].items.compactMap { ClusterObject($0, resource) }
            token = tree["metadata"]["continue"].text
            if token.isEmpty {
                onChange(.all(objects))
                return tree["metadata"]["resourceVersion"].text
            }
        }
    }

    private func failure(_ answer: DiscoveryAnswer) -> DiscoveryError {
        // The API explains itself in a `Status` object.
        let message = (try? JSONTree(answer.body))?["message"].text ?? ""
        let reason = message.isEmpty ? "" : ": " + message
        return DiscoveryError("server returned HTTP status \(answer.statusText)\(reason)")
    }

    // MARK: watch

    /// Watches until the server ends it.
    ///
    /// - Returns: the version up to which changes were seen.
    private func watch(from version: String) async throws -> String {
        let request = request(
            [
                NamedText("watch", "1"), NamedText("allowWatchBookmarks", "true"),
                NamedText("resourceVersion", version),
                NamedText("timeoutSeconds", String(Self.watchSeconds)),
            ], timeoutSeconds: 60)
        let reading = Reading(version)
        let environment = delivery.environment
        let answer = try await withThrowingTaskGroup(of: DiscoveryAnswer?.self) { group in
            group.addTask {
                try await environment.fetcher.stream(request) { part in
                    let lines = try reading.state.withLock { reading in
                        try Self.lines(of: part, rest: &reading.rest)
                    }
                    for line in lines {
                        let seen = try take(line)
                        if !seen.isEmpty { reading.state.withLock { $0.version = seen } }
                    }
                }
            }
            group.addTask {
                // A connection that nobody ends any more.
                try await environment.clock.sleep(seconds: Double(Self.watchSeconds) + 60)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
        if let answer {
            if answer.status == 410 { throw Gone() }
            guard answer.status == 200 else { throw failure(answer) }
        }
        return reading.state.withLock { $0.version }
    }

    private static func lines(of part: [UInt8], rest: inout [UInt8]) throws -> [[UInt8]] {
        var lines: [[UInt8]] = []
        var start = part.startIndex
        while let end = part[start...].firstIndex(of: UInt8(ascii: "\n")) {
            rest += part[start..<end]
            if !rest.isEmpty { lines.append(rest) }
            rest = []
            start = end + 1
        }
        rest += part[start...]
        guard rest.count <= eventLimit else { throw DiscoveryError("an event is too large") }
        return lines
    }

    /// Takes one event.
    ///
    /// - Returns: the version it brings.
    private func take(_ line: [UInt8]) throws -> String {
        let event = try JSONTree(line)
        let tree = event["object"]
        switch event["type"].text {
        case "ADDED", "MODIFIED":
            if let object = ClusterObject(tree, resource) { onChange(.put(object)) }
        case "DELETED":
            if let object = ClusterObject(tree, resource) { onChange(.gone(object)) }
        case "ERROR":
            if tree["code"].integer == 410 { throw Gone() }
            throw DiscoveryError("the watch failed: \(tree["message"].text)")
        default: break
        }
        return tree["metadata"]["resourceVersion"].text
    }
}
