// SPDX-License-Identifier: Apache-2.0
// Recently decompressed frames.

import Base
import Synchronization
import Telemetry

/// Keeps plain frames in memory, bounded by bytes: blocks of small streams share frames, and
/// dashboards read the same blocks again.
///
/// Two generations: when the young one holds half the limit it becomes the old one and the former
/// old one is dropped. A look-up that finds a frame in the old one moves it up.
final class FrameCache: Sendable {
    private struct Key: Hashable {
        var part: UInt64
        var frame: UInt32
    }
    private struct State {
        var young: [Key: SharedBytes] = [:]
        var old: [Key: SharedBytes] = [:]
        var youngBytes = 0
    }
    /// What all readers share.
    private final class Frames: Sendable {
        let state = Mutex(State())
    }
    private let limitBytes: Int
    private let frames: Frames
    private let counters: CacheCounters?

    convenience init(limitBytes: Int) {
        self.init(limitBytes: limitBytes, Frames(), nil)
    }

    private init(limitBytes: Int, _ frames: Frames, _ counters: CacheCounters?) {
        self.limitBytes = limitBytes
        self.frames = frames
        self.counters = counters
    }

    /// The same cache for one read, which counts what it takes from it.
    func counting(_ context: ReadContext) -> FrameCache {
        FrameCache(limitBytes: limitBytes, frames, context.cache)
    }

    func frame(part: UInt64, _ frame: UInt32) -> SharedBytes? {
        let key = Key(part: part, frame: frame)
        let found = frames.state.withLock { state -> SharedBytes? in
            if let found = state.young[key] { return found }
            guard let found = state.old.removeValue(forKey: key) else { return nil }
            add(found, key, &state)
            return found
        }
        counters?.requested.wrappingAdd(1, ordering: .relaxed)
        if let found {
            counters?.found.wrappingAdd(1, ordering: .relaxed)
            counters?.foundBytes.wrappingAdd(found.count, ordering: .relaxed)
        }
        return found
    }

    func keep(_ bytes: SharedBytes, part: UInt64, _ frame: UInt32) {
        if bytes.count > limitBytes / 4 { return }
        frames.state.withLock { add(bytes, Key(part: part, frame: frame), &$0) }
        counters?.stored.wrappingAdd(1, ordering: .relaxed)
        counters?.storedBytes.wrappingAdd(bytes.count, ordering: .relaxed)
    }

    private func add(_ bytes: SharedBytes, _ key: Key, _ state: inout State) {
        if state.youngBytes + bytes.count > limitBytes / 2 {
            state.old = state.young
            state.young = [:]
            state.youngBytes = 0
        }
        if state.young.updateValue(bytes, forKey: key) == nil { state.youngBytes += bytes.count }
    }
}
