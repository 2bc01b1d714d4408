// SPDX-License-Identifier: Apache-2.0
// Recently decompressed frames.

import Base
import Synchronization

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
    private let limitBytes: Int
    private let state = Mutex(State())

    init(limitBytes: Int) { self.limitBytes = limitBytes }

    func frame(part: UInt64, _ frame: UInt32) -> SharedBytes? {
        let key = Key(part: part, frame: frame)
        return state.withLock { state in
            if let found = state.young[key] { return found }
            guard let found = state.old.removeValue(forKey: key) else { return nil }
            add(found, key, &state)
            return found
        }
    }

    func keep(_ bytes: SharedBytes, part: UInt64, _ frame: UInt32) {
        if bytes.count > limitBytes / 4 { return }
        state.withLock { add(bytes, Key(part: part, frame: frame), &$0) }
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
