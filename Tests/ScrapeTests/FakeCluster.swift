// SPDX-License-Identifier: Apache-2.0
// An API server with objects that come, change and go.

import Synchronization

@testable import Scrape

/// Lists and watches like the API server of Kubernetes: each change has a version, watches from a
/// forgotten version end with 410.
final class FakeCluster: DiscoveryFetching {
    private struct Change {
        var version: Int
        var path: String
        var line: String
    }

    private struct State {
        var version = 100
        var objects: [String: [String: String]] = [:]
        var changes: [Change] = []
        /// Versions below are forgotten.
        var horizon = 0
        var watchers: [Int: (path: String, continuation: AsyncStream<String>.Continuation)] = [:]
        var nextWatcher = 0
        var requests: [DiscoveryRequest] = []
        var failing: Set<String> = []
        var credentials: [ClusterCredentials] = []
    }
    private let state = Mutex(State())

    var requests: [DiscoveryRequest] { state.withLock { $0.requests } }
    var credentials: [ClusterCredentials] { state.withLock { $0.credentials } }
    var watcherCount: Int { state.withLock { $0.watchers.count } }

    /// Puts an object, given as the inside of its JSON, below a path such as `/api/v1/pods`.
    func put(_ path: String, _ name: String, namespace: String = "", _ inside: String) {
        state.withLock { state in
            state.version += 1
            let key = namespace + "/" + name
            let isNew = state.objects[path]?[key] == nil
            let version = "\"resourceVersion\":\"\(state.version)\""
            let place = namespace.isEmpty ? "" : "\"namespace\":\"\(namespace)\","
            // A line per event.
            let object = inside.replacing("\n", with: " ").replacing(
                "\"metadata\":{", with: "\"metadata\":{\"name\":\"\(name)\",\(place)\(version),")
            state.objects[path, default: [:]][key] = "{\(object)}"
            tell(path, isNew ? "ADDED" : "MODIFIED", "{\(object)}", &state)
        }
    }

    func remove(_ path: String, _ name: String, namespace: String = "") {
        state.withLock { state in
            guard let object = state.objects[path]?.removeValue(forKey: namespace + "/" + name)
            else { return }
            state.version += 1
            tell(path, "DELETED", object, &state)
        }
    }

    /// Forgets all changes so far and ends all watches: they have to list again.
    func forget(silently removed: (path: String, key: String)? = nil) {
        let watchers = state.withLock { state in
            if let removed { state.objects[removed.path]?[removed.key] = nil }
            state.version += 1
            state.horizon = state.version
            state.changes = []
            defer { state.watchers = [:] }
            return Array(state.watchers.values)
        }
        for watcher in watchers { watcher.continuation.finish() }
    }

    func fail(_ path: String, _ isFailing: Bool) {
        state.withLock { state in
            if isFailing { state.failing.insert(path) } else { state.failing.remove(path) }
        }
    }

    private func tell(_ path: String, _ type: String, _ object: String, _ state: inout State) {
        let line = "{\"type\":\"\(type)\",\"object\":\(object)}\n"
        state.changes.append(Change(version: state.version, path: path, line: line))
        for watcher in state.watchers.values where watcher.path == path {
            watcher.continuation.yield(line)
        }
    }

    private static func parts(_ url: String) -> (path: String, query: [String: String]) {
        let halves = url.split(separator: "?", maxSplits: 1).map(String.init)
        var query: [String: String] = [:]
        for pair in halves.count > 1 ? halves[1].split(separator: "&") : [] {
            let sides = pair.split(separator: "=", maxSplits: 1).map(String.init)
            query[sides[0]] = sides.count > 1 ? sides[1] : ""
        }
        return (String(halves[0].dropFirst("http://cluster".count)), query)
    }

    func fetch(_ request: DiscoveryRequest) async throws -> DiscoveryAnswer {
        let (path, query) = Self.parts(request.url)
        return state.withLock { state in
            state.requests.append(request)
            if state.failing.contains(path) {
                return DiscoveryAnswer(
                    status: 403, reason: "Forbidden",
                    body: Array("{\"kind\":\"Status\",\"message\":\"not for you\"}".utf8))
            }
            // Pages of two, so that every list of three has two.
            let all = (state.objects[path] ?? [:]).sorted { $0.key < $1.key }.map(\.value)
            let start = Int(query["continue"] ?? "") ?? 0
            let page = all[min(start, all.count)..<min(start + 2, all.count)]
            let rest = start + 2 < all.count ? ",\"continue\":\"\(start + 2)\"" : ""
            return json(
                "{\"metadata\":{\"resourceVersion\":\"\(state.version)\"\(rest)},\"items\":["
                    + page.joined(separator: ",") + "]}")
        }
    }

    func stream(
        _ request: DiscoveryRequest, _ receive: @escaping @Sendable ([UInt8]) async throws -> Void
    ) async throws -> DiscoveryAnswer {
        let (path, query) = Self.parts(request.url)
        let from = Int(query["resourceVersion"] ?? "") ?? 0
        let (lines, continuation) = AsyncStream<String>.makeStream()
        let number = state.withLock { state -> Int? in
            state.requests.append(request)
            if from < state.horizon {
                continuation.yield(
                    "{\"type\":\"ERROR\",\"object\":{\"code\":410,\"message\":\"too old\"}}\n")
                continuation.finish()
                return nil
            }
            for change in state.changes where change.version > from && change.path == path {
                continuation.yield(change.line)
            }
            state.watchers[state.nextWatcher] = (path, continuation)
            state.nextWatcher += 1
            return state.nextWatcher - 1
        }
        defer { if let number { state.withLock { $0.watchers[number] = nil } } }
        for await line in lines {
            // In pieces: lines are not what the network delivers.
            let bytes = Array(line.utf8)
            try await receive(Array(bytes[..<(bytes.count / 2)]))
            try await receive(Array(bytes[(bytes.count / 2)...]))
        }
        try Task.checkCancellation()
        return DiscoveryAnswer(status: 200)
    }

    func options(for credentials: ClusterCredentials) throws -> ClientOptions {
        state.withLock { $0.credentials.append(credentials) }
        return ClientOptions(credentials)
    }
}
