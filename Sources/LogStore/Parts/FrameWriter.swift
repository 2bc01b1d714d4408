// SPDX-License-Identifier: Apache-2.0
// Packs columns of neighbouring blocks into compressed frames.

import Base
import Storage

/// Where a column of a block lies: a frame and a range of its plain bytes. Count 0 = nowhere.
struct ColumnLocation: Sendable, Hashable {
    var frame: UInt32
    var offset: UInt32
    var count: UInt32
    static let none = ColumnLocation(frame: 0, offset: 0, count: 0)
}

/// A compressed piece of a data section.
struct LogFrame: Sendable, Hashable {
    /// 0 raw, 1 zstd.
    var coding: UInt8
    /// Ordinal of the data section.
    var section: UInt32
    var offset: Int
    var storedCount: Int
    var plainCount: Int
    var crc: UInt32
}

/// All frames of a part that is being built.
struct FrameStore {
    /// Of zstd.
    let level: Int32
    private(set) var frames: [LogFrame] = []
    private(set) var sections: [[UInt8]] = [[]]

    init(level: Int32) { self.level = level }

    /// Hands out a section and lets go of it. Nothing may be stored afterwards.
    mutating func takeSection(_ ordinal: Int) -> [UInt8] {
        let section = sections[ordinal]
        sections[ordinal] = []
        return section
    }

    /// Takes a number for a frame whose bytes come later.
    mutating func reserve() -> Int {
        frames.append(
            LogFrame(coding: 0, section: 0, offset: 0, storedCount: 0, plainCount: 0, crc: 0))
        return frames.count - 1
    }

    /// - Parameters:
    ///   - compresses: false for bytes without order.
    ///   - level: instead of the store's.
    mutating func store(
        _ plain: [UInt8], as index: Int, compresses: Bool = true, level: Int32? = nil
    ) {
        let packed = compresses ? Zstd.compress(plain, level: level ?? self.level) : plain
        let isSmaller = packed.count < plain.count
        let stored = isSmaller ? packed : plain
        stored.withUnsafeBytes {
            append(
                $0, as: index, coding: isSmaller ? 1 : 0, plainCount: plain.count,
                crc: crc32c(stored))
        }
    }

    /// Stores a frame of another part as it is there.
    mutating func copy(_ frame: LogFrame, _ stored: UnsafeRawBufferPointer, as index: Int) {
        append(
            stored, as: index, coding: frame.coding, plainCount: frame.plainCount, crc: frame.crc)
    }

    private mutating func append(
        _ stored: UnsafeRawBufferPointer, as index: Int, coding: UInt8, plainCount: Int, crc: UInt32
    ) {
        let open = sections[sections.count - 1].count
        if open > 0, open + stored.count > LogFormat.dataSectionTarget { sections.append([]) }
        let section = sections.count - 1
        frames[index] = LogFrame(
            coding: coding, section: UInt32(section), offset: sections[section].count,
            storedCount: stored.count, plainCount: plainCount, crc: crc)
        sections[section].append(contentsOf: stored)
    }
}

/// Frames of one kind of column.
struct FrameWriter {
    let targetCount: Int
    private let compresses: Bool
    private var plain: [UInt8] = []
    private var index: Int?

    init(targetCount: Int, compresses: Bool = true) {
        self.targetCount = targetCount
        self.compresses = compresses
    }

    /// Adds a column and says where it will be.
    mutating func place(_ column: [UInt8], in store: inout FrameStore) -> ColumnLocation {
        if column.isEmpty { return .none }
        // A column is never split, and a large one does not share.
        if !plain.isEmpty, plain.count + column.count > targetCount { flush(&store) }
        let frame = index ?? store.reserve()
        index = frame
        let location = ColumnLocation(
            frame: UInt32(frame), offset: UInt32(plain.count), count: UInt32(column.count))
        plain.append(contentsOf: column)
        if plain.count >= targetCount { flush(&store) }
        return location
    }

    mutating func flush(_ store: inout FrameStore) {
        guard let index else { return }
        store.store(plain, as: index, compresses: compresses)
        plain.removeAll(keepingCapacity: true)
        self.index = nil
    }
}
