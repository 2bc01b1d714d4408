// SPDX-License-Identifier: Apache-2.0
// Discovery APIs that say what they are told to.

import Base
import Synchronization
import TestKit

@testable import Scrape

/// Answers per URL, without or with the query; the last matching one counts.
final class FakeAPI: DiscoveryFetching {
    typealias Handler = @Sendable (DiscoveryRequest) async throws -> DiscoveryAnswer

    private struct State {
        var handler: Handler = { _ in DiscoveryAnswer(status: 404, reason: "Not Found") }
        var requests: [DiscoveryRequest] = []
        var credentials: [ClusterCredentials] = []
    }
    private let state = Mutex(State())

    func handle(_ handler: @escaping Handler) { state.withLock { $0.handler = handler } }

    var requests: [DiscoveryRequest] { state.withLock { $0.requests } }
    var credentials: [ClusterCredentials] { state.withLock { $0.credentials } }

    func fetch(_ request: DiscoveryRequest) async throws -> DiscoveryAnswer {
        let handler = state.withLock { state in
            state.requests.append(request)
            return state.handler
        }
        return try await handler(request)
    }

    func stream(
        _ request: DiscoveryRequest, _ receive: @escaping @Sendable ([UInt8]) async throws -> Void
    ) async throws -> DiscoveryAnswer {
        var answer = try await fetch(request)
        if answer.status == 200 {
            try await receive(answer.body)
            answer.body = []
        }
        return answer
    }

    func options(for credentials: ClusterCredentials) throws -> ClientOptions {
        state.withLock { $0.credentials.append(credentials) }
        return ClientOptions(credentials)
    }
}

/// A resolver's servers: what each says to a message.
final class FakeNameServers: DNSTransport {
    typealias Handler = @Sendable ([UInt8], DNSServer, Bool) throws -> [UInt8]
    private let handler = Mutex<Handler>({ _, _, _ in throw DiscoveryError("no such server") })

    func handle(_ handler: @escaping Handler) { self.handler.withLock { $0 = handler } }

    func exchange(
        _ message: [UInt8], server: DNSServer, overTCP: Bool, timeoutSeconds: Double
    ) async throws -> [UInt8] {
        try handler.withLock { $0 }(message, server, overTCP)
    }
}

/// No signature at all: what is signed can be read in the digest.
struct PlainDigest: RequestDigest {
    func sha256(_ bytes: [UInt8]) -> [UInt8] { Array("hash(".utf8) + bytes + Array(")".utf8) }
    func hmacSHA256(key: [UInt8], _ bytes: [UInt8]) -> [UInt8] { key + bytes }
}

/// Everything a discovery needs, and what it delivered.
final class DiscoveryBench: Sendable {
    let api = FakeAPI()
    let names = FakeNameServers()
    let clock = ManualClock()
    let notes = Mutex<[String]>([])
    let variables = Mutex<[String: String]>([:])
    let delivered = Mutex<[String: [[TargetGroup]]]>([:])

    var environment: DiscoveryEnvironment {
        DiscoveryEnvironment(
            fetcher: api, dns: names, clock: clock, random: SeededRandom(seed: 1),
            digest: PlainDigest(),
            jsonOfYAML: { _ in throw DiscoveryError("no YAML here") },
            variable: { name in self.variables.withLock { $0[name] } },
            note: { message, _, _ in self.notes.withLock { $0.append(message) } })
    }

    func discovery() -> Discovery {
        Discovery(environment, name: "scrape") { set, groups in
            self.delivered.withLock { $0[set, default: []].append(groups) }
        }
    }

    func count(_ set: String = "job") -> Int { delivered.withLock { $0[set]?.count ?? 0 } }
    func last(_ set: String = "job") -> [TargetGroup]? { delivered.withLock { $0[set]?.last } }
    /// Addresses of the last delivery, in order.
    func addresses(_ set: String = "job") -> [String]? { last(set).map(addressesOf) }

    /// Moves the clock on in small steps until something holds.
    func run(until isDone: () async -> Bool) async -> Bool {
        for _ in 0..<4000 {
            if await isDone() { return true }
            for _ in 0..<20 { await Task.yield() }
            if clock.sleeperCount > 0 { clock.advance(seconds: 0.05) }
            try? await Task.sleep(nanoseconds: 200_000)
        }
        return await isDone()
    }
}

func addressesOf(_ groups: [TargetGroup]) -> [String] {
    groups.flatMap {
        $0.targets.map { target in target.first { $0.name == "__address__" }?.value ?? "" }
    }
}

/// Labels of a target of a group, the group's included, by name.
func labels(_ group: TargetGroup?, _ index: Int = 0) -> [String: String] {
    var result: [String: String] = [:]
    guard let group, index < group.targets.count else { return result }
    for label in group.labels + group.targets[index] { result[label.name] = label.value }
    return result
}

func json(_ text: String) -> DiscoveryAnswer {
    DiscoveryAnswer(
        status: 200, reason: "OK", headers: [NamedText("Content-Type", "application/json")],
        body: Array(text.utf8))
}
