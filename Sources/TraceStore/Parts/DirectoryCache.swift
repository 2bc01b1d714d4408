// SPDX-License-Identifier: Apache-2.0
// Directories of parts, as far as memory allows.

import Base
import Storage
import Synchronization
import Telemetry

/// Directory and sources of a part: some 2 KB per block.
final class PartContents: Sendable {
    let directory: BlockDirectory
    let sources: SpanBatch
    let byteCount: Int

    /// - Throws: `PartCorruption` when one of the sections cannot be read.
    init(_ reader: PartReader) throws(PartCorruption) {
        let sources = try reader.decode(TraceFormat.sources) { bytes throws(MalformedBytes) in
            try SpanBatch(decoding: bytes)
        }
        let directory = try reader.decode(TraceFormat.directory) { bytes throws(MalformedBytes) in
            var cursor = ByteReader(bytes)
            return try BlockDirectory(
                decoding: &cursor, resources: sources.resources.count,
                scopes: sources.scopes.count)
        }
        self.sources = sources
        self.directory = directory
        byteCount =
            directory.byteCount + sources.arena.count
            + sources.resources.count * MemoryLayout<SpanBatch.Resource>.stride
            + sources.scopes.count * MemoryLayout<SpanBatch.Scope>.stride
    }
}

/// The contents of the parts that were read last. A day of 20,000 spans a second has a thousand parts
/// and some 1.8 GB of directories, of which queries mostly need the newest.
///
/// Keeps no part alive: it knows them by id.
final class DirectoryCache: Sendable {
    fileprivate struct Entry {
        var contents: PartContents
        var lastUse: UInt64
    }
    fileprivate struct State {
        var entries: [UInt64: Entry] = [:]
        var byteCount = 0
        var clock: UInt64 = 0
    }
    private let state = Mutex(State())
    private let limitBytes: Int

    init(limitBytes: Int) { self.limitBytes = limitBytes }

    /// Of all that is held.
    var byteCount: Int { state.withLock { $0.byteCount } }

    func find(_ id: UInt64) -> PartContents? {
        state.withLock { state in
            state.clock += 1
            let clock = state.clock
            state.entries[id]?.lastUse = clock
            return state.entries[id]?.contents
        }
    }

    /// Adds the contents of a part and drops those that were not used for longest. One part's are
    /// always kept, whatever their size.
    func insert(_ contents: PartContents, id: UInt64) {
        state.withLock { state in
            state.remove(id)
            state.clock += 1
            state.entries[id] = Entry(contents: contents, lastUse: state.clock)
            state.byteCount += contents.byteCount
            while state.byteCount > limitBytes, state.entries.count > 1,
                let oldest = state.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                state.remove(oldest.key)
            }
        }
    }

    func remove(_ ids: some Sequence<UInt64>) {
        state.withLock { state in for id in ids { state.remove(id) } }
    }
}

extension DirectoryCache.State {
    fileprivate mutating func remove(_ id: UInt64) {
        if let gone = entries.removeValue(forKey: id) { byteCount -= gone.contents.byteCount }
    }
}
