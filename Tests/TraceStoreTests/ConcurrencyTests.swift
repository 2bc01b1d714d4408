// SPDX-License-Identifier: Apache-2.0
// Appending, reading, sealing and merging at once.

import Base
import Storage
import Synchronization
import Telemetry
import Testing

@testable import TraceStore

/// A store that several tasks work on, with the kernel's part played by a lock.
private final class Exercise: Sendable {
    private struct Progress {
        var shelf = PartShelf()
        var generation: UInt64 = 1
        var written: [PlainSpan] = []
    }
    let store = TraceStore()
    private let progress = Mutex(Progress())
    private let writing: Atomic<Int>

    init(writers: Int) { writing = Atomic(writers) }

    var isWriting: Bool { writing.load(ordering: .relaxed) > 0 }
    var written: [PlainSpan] { progress.withLock { $0.written } }

    func write(_ writer: Int) {
        var generator = SpanGenerator(seed: UInt64(writer) + 50)
        for _ in 0..<40 {
            let batch = generator.batch(rows: 20)
            // A generation is sealed when all its records are applied: the lock sees to that.
            progress.withLock { progress in
                store.append(
                    batch, tenant: .anonymous, generation: progress.generation, sequence: 0)
                progress.written += batch.plain
            }
        }
        writing.wrappingSubtract(1, ordering: .relaxed)
    }

    func sealAndMerge() throws {
        while isWriting {
            let old = progress.withLock { progress in
                progress.generation += 1
                return progress.generation - 1
            }
            let drafts = try store.seal(generation: old)
            store.sealed(
                generation: old, parts: try progress.withLock { try $0.shelf.add(drafts) })
            for group in progress.withLock({ $0.shelf.mergeable }) where group.count > 3 {
                let drafts = try store.merge(group) { false }
                let ids = group.map(\.descriptor.id)
                let added = try progress.withLock { progress in
                    progress.shelf.remove(ids)
                    return try progress.shelf.add(drafts, level: 1)
                }
                store.replace(removed: ids, added: added)
            }
        }
    }

    func search() throws -> [PlainSpan] {
        var found: [PlainSpan] = []
        try store.search(
            SpanRequest(tenant: .anonymous, range: .all), ReadContext()
        ) { batch in
            found += batch.plain
            return true
        }
        return found
    }

    /// Whatever was written before a read shows in it, once.
    func read() throws -> [String] {
        var problems: [String] = []
        repeat {
            let before = written
            let found = try search()
            let identities = Set(found.map(\.identity))
            if identities.count != found.count { problems.append("a span shows twice") }
            if !identities.isSuperset(of: before.map(\.identity)) {
                problems.append("a span is not there")
            }
            if let last = before.last {
                let trace = try store.trace(
                    last.traceID, tenant: .anonymous, ReadContext()
                ).plain
                if !trace.contains(where: { $0.identity == last.identity }) {
                    problems.append("a trace lacks a span")
                }
            }
            _ = try store.tagNames(.anonymous, range: .all, ReadContext())
            _ = store.headBytes
        } while isWriting
        return problems
    }
}

@Suite struct ConcurrencyTests {
    @Test(.timeLimit(.minutes(2)))
    func readersSeeEverySpanOnceWhileItMoves() async throws {
        let exercise = Exercise(writers: 2)
        let problems = try await withThrowingTaskGroup(of: [String].self) { group in
            for writer in 0..<2 {
                group.addTask {
                    exercise.write(writer)
                    return []
                }
            }
            group.addTask {
                try exercise.sealAndMerge()
                return []
            }
            group.addTask { try exercise.read() }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(problems.isEmpty, "\(problems.prefix(3))")
        let found = try exercise.search()
        #expect(
            Set(found.map(\.identity)) == Set(exercise.written.map(\.identity)))
    }
}
