// SPDX-License-Identifier: Apache-2.0
// Carries out requests to delete log lines.

import Base
import LogStore
import Storage
import Synchronization
import Telemetry

/// Requests to delete log lines, from their receipt until nothing is left of the lines.
///
/// A request is written down, then the parts that may hold its lines are marked in one step
/// (`Kernel.delete`); from then on no reader sees them, and only then is it acknowledged. Merges leave the
/// marked lines out. When a request is older than the cancel period, what it still marks is
/// rewritten; a request that marks nothing any more is processed.
///
/// After a crash between the two steps the marks are made at the next start: the client was told
/// nothing and may find the request in the list. Decision: docs/decisions/0015.
final class LogDeletes: Sendable {
    private struct State: Sendable {
        var requests: [DeleteRequest] = []
        var loop: Task<Void, Never>?
        /// A file that cannot be read is not overwritten.
        var isReadOnly = false
    }
    private let state: Mutex<State>
    /// One change of the list at a time: each is written before it counts.
    private let files: any FileSystem
    private let directory: String
    private let kernel: Kernel
    private let logs: LogStore
    private let clock: any Clock
    private let random: any RandomSource
    /// Within which a request can be taken back. Loki's default is a day.
    let cancelSeconds: Double
    private let report: @Sendable (String) -> Void

    /// Between two looks at what is left to do.
    private static let passSeconds = 10.0

    init(
        directory: String, kernel: Kernel, logs: LogStore, clock: any Clock, cancelSeconds: Double,
        files: any FileSystem = LocalFileSystem(), random: any RandomSource = SystemRandom(),
        report: @escaping @Sendable (String) -> Void
    ) {
        (self.directory, self.kernel, self.logs, self.clock) = (directory, kernel, logs, clock)
        (self.files, self.random, self.report) = (files, random, report)
        self.cancelSeconds = cancelSeconds
        var state = State()
        do {
            state.requests = try DeleteRequestFile.read(directory, files)
        } catch {
            state.isReadOnly = true
            report("requests to delete logs cannot be read: \(error); new ones are refused")
        }
        self.state = Mutex(state)
    }

    /// Begins to carry out what is left.
    func start() {
        let loop = Task { [weak self] in
            while !Task.isCancelled, let self {
                await pass()
                do {
                    try await clock.sleep(seconds: Self.passSeconds)
                } catch { return }
            }
        }
        state.withLock { $0.loop = loop }
    }

    func stop() async {
        let loop = state.withLock { state in
            defer { state.loop = nil }
            return state.loop
        }
        loop?.cancel()
        await loop?.value
    }

    // MARK: - Requests

    func requests(of tenant: Tenant) -> [DeleteRequest] {
        state.withLock { $0.requests.filter { $0.tenant == tenant.name } }
    }

    /// Deletes lines. When this returns no reader sees them, and the request is durable.
    ///
    /// - Throws: `APIError`; what it says about the query is the client's to mend.
    func add(
        query: String, startNanos: Int64, endNanos: Int64, tenant: Tenant
    ) async throws -> DeleteRequest {
        let number = random.next()
        let digits = String(number, radix: 16)
        let request = DeleteRequest(
            id: String(repeating: "0", count: 16 - digits.count) + digits, tenant: tenant.name,
            query: query, startNanos: startNanos, endNanos: endNanos,
            createdNanos: clock.wallNanos)
        try change { requests in
            if requests.count >= DeleteRequestFile.maxCount {
                let first = requests.firstIndex { $0.status == .processed }
                guard let first else {
                    throw APIError(
                        .tooManyRequests,
                        "\(requests.count) delete requests wait to be processed, the most there "
                            + "may be", retryAfterSeconds: 60)
                }
                requests.remove(at: first)
            }
            requests.append(request)
        }
        do {
            return try await carryOut(request)
        } catch let error as LogStoreError {
            // It cannot be carried out, now or later.
            try change { $0.removeAll { $0.id == request.id } }
            throw LogDeletes.failure(error)
        } catch {
            // Whether the marks were made is not certain: the next pass makes them, or the next start.
            throw LogDeletes.failure(error)
        }
    }

    /// Marks the lines of a request.
    private func carryOut(_ request: DeleteRequest) async throws -> DeleteRequest {
        let marked = try await logs.delete(
            request.deletion, tenant: Tenant(request.tenant), in: kernel)
        var done = request
        done.status = marked == 0 ? .processed : .received
        let status = done.status
        try change { requests in
            for index in requests.indices where requests[index].id == request.id {
                requests[index].status = status
            }
        }
        return done
    }

    /// Takes a request back as far as its lines are still there.
    ///
    /// - Parameter force: also where some of them are gone for good.
    func cancel(_ id: String, tenant: Tenant, force: Bool) async throws {
        guard let request = requests(of: tenant).first(where: { $0.id == id }) else {
            throw APIError(.notFound, "could not find delete request with given id")
        }
        guard request.status != .processed else {
            throw APIError(
                .badData,
                "deletion of request which is in process or already processed is not allowed")
        }
        collectRemovals()
        let removed = requests(of: tenant).first { $0.id == id }?.removedRows ?? 0
        guard removed == 0 || force else {
            throw APIError(
                .badData,
                "Unable to cancel partially completed delete request. To force, use the ?force "
                    + "query parameter")
        }
        do {
            try await logs.undelete(request.deletion, tenant: tenant, in: kernel)
            try change { $0.removeAll { $0.id == id } }
        } catch { throw LogDeletes.failure(error) }
    }

    // MARK: - Work

    /// Marks what a crash left unmarked, counts what is gone, and rewrites what is due.
    func pass() async {
        for request in state.withLock({ $0.requests }) where request.status == .accepted {
            do { _ = try await carryOut(request) } catch {
                report("delete request \(request.id) is not carried out yet: \(error)")
            }
        }
        collectRemovals()
        let due = state.withLock { state in
            Set(
                state.requests.filter {
                    $0.status == .received
                        && Double(clock.wallNanos &- $0.createdNanos) / 1e9 >= cancelSeconds
                }.map(\.tenant))
        }
        for tenant in due.sorted() {
            do {
                try await kernel.cleanDeletions(tenant: tenant, of: .logs)
            } catch CommitError.stopped { return } catch {
                report("deleted lines of tenant \(tenant) are still on the disk: \(error)")
            }
        }
        collectRemovals()
    }

    /// Adds what merges left out to the requests, and finds those of which nothing is left.
    private func collectRemovals() {
        let removed = logs.takeRemovals()
        let waiting = state.withLock { state in
            state.requests.filter { $0.status == .received }
        }
        let done = Set(
            waiting.filter { logs.partsDeleting($0.id, tenant: Tenant($0.tenant)) == 0 }.map(\.id))
        guard !removed.isEmpty || !done.isEmpty else { return }
        do {
            try change { requests in
                for index in requests.indices {
                    if let removal = removed[requests[index].id] {
                        requests[index].removedRows += removal.rows
                        requests[index].removedBytes += removal.bytes
                    }
                    if done.contains(requests[index].id) { requests[index].status = .processed }
                }
            }
        } catch { report("the list of delete requests is not written: \(error)") }
    }

    /// Changes the list: on disk first.
    private func change(_ body: (inout [DeleteRequest]) throws -> Void) throws {
        try state.withLock { state in
            guard !state.isReadOnly else {
                throw APIError(
                    .internal,
                    "the list of delete requests is damaged: see the log of the server's start")
            }
            var changed = state.requests
            try body(&changed)
            guard changed != state.requests else { return }
            try DeleteRequestFile.write(changed, to: directory, files)
            state.requests = changed
        }
    }

    /// What cannot be made durable now may be later: 503, as for writes. The rest is damage.
    private static func failure(_ error: any Error) -> APIError {
        switch error {
        case let error as APIError: return error
        case let error as LogStoreError: return APIError(.badData, "\(error)")
        default:
            let isPassing = error is CommitError || error is MetaStoreError || error is FileError
            return APIError(
                isPassing ? .unavailable : .internal, "\(error)",
                retryAfterSeconds: isPassing ? 5 : nil)
        }
    }
}
