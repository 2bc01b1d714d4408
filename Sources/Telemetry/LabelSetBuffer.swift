// SPDX-License-Identifier: Apache-2.0
// Reusable memory in which decoders make canonical label bytes.

import Base

/// Turns the labels of one series after another into canonical bytes without allocating.
///
/// A decoder appends borrowed names and values in wire order. Labels that arrive sorted, as most
/// senders write them, are encoded in place and copied once into the batch's arena; others are
/// sorted on `seal`. Empty values are dropped, as the data model has it. UTF-8 and the limits of
/// names and values are the decoder's to check.
///
/// - Complexity: `append` O(bytes), `seal` O(1) when sorted and O(n log n) else.
@usableFromInline package struct LabelSetBuffer: ~Copyable {
    /// Where one label lies in the scratch memory; `start..<end` covers both lengths and texts.
    struct Entry {
        var start: Int
        var end: Int
        var nameStart: Int
        var nameCount: Int
    }

    @usableFromInline var base: UnsafeMutableRawPointer
    @usableFromInline var capacity: Int
    /// Bytes written so far.
    @usableFromInline package var count = 0
    /// Labels with a value.
    @usableFromInline package var labelCount = 0
    @usableFromInline var isSorted = true
    @usableFromInline var lastNameStart = 0
    @usableFromInline var lastNameCount = 0
    /// Whether `__name__` was appended with a value.
    @usableFromInline package var hasMetricName = false
    private var entries: [Entry] = []
    /// Where sorting puts the labels; it changes places with `base`.
    private var spare: UnsafeMutableRawPointer?
    private var spareCapacity = 0

    package init(capacity: Int = 4096) {
        self.capacity = max(capacity, 64)
        base = .allocate(byteCount: self.capacity, alignment: 16)
    }

    deinit {
        base.deallocate()
        spare?.deallocate()
    }

    /// Starts the next label set; memory is kept.
    @inlinable package mutating func reset() {
        count = 0
        labelCount = 0
        isSorted = true
        lastNameCount = 0
        hasMetricName = false
    }

    /// Adds a label; one with an empty value is dropped.
    @inlinable package mutating func append(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
    ) {
        guard !value.isEmpty else { return }
        // Two lengths of at most ten bytes each.
        let needed = count &+ name.count &+ value.count &+ 20
        if needed > capacity { grow(needed) }
        if labelCount > 0 {
            // Names mostly differ in their first byte.
            let last = UnsafeRawBufferPointer(start: base + lastNameStart, count: lastNameCount)
            if let a = last.first, let b = name.first, a != b {
                if a > b { isSorted = false }
            } else if compareBytes(last, name) >= 0 {
                isSorted = false
            }
        }
        writeLength(name.count)
        lastNameStart = count
        lastNameCount = name.count
        if let source = name.baseAddress {
            if name.count == 8,
                source.loadUnaligned(as: UInt64.self).littleEndian == 0x5f5f_656d_616e_5f5f
            {
                hasMetricName = true
            }
            copyText(source, name.count, to: base + count)
        }
        count &+= name.count
        writeLength(value.count)
        if let source = value.baseAddress {
            copyText(source, value.count, to: base + count)
        }
        count &+= value.count
        labelCount &+= 1
    }

    /// See `append(_:_:)`, for labels that the decoder itself makes.
    package mutating func append(_ name: StaticString, _ value: UnsafeRawBufferPointer) {
        append(name.bytes, value)
    }

    /// Adds labels that are canonical already.
    package mutating func append(canonical labels: UnsafeRawBufferPointer) {
        forEachLabel(in: labels) { append($0, $1) }
    }

    @inlinable mutating func writeLength(_ length: Int) {
        var rest = UInt64(truncatingIfNeeded: length)
        while rest >= 0x80 {
            base.storeBytes(
                of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: count, as: UInt8.self)
            count &+= 1
            rest &>>= 7
        }
        base.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: count, as: UInt8.self)
        count &+= 1
    }

    @inline(never) @usableFromInline mutating func grow(_ needed: Int) {
        let larger = max(needed, 2 * capacity)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
        memory.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = memory
        capacity = larger
    }

    /// Memory for labels that a decoder writes itself, behind those that are there.
    ///
    /// - Returns: where the next label goes, with room for `count` bytes.
    @inlinable package mutating func room(_ count: Int) -> UnsafeMutableRawPointer {
        if self.count &+ count > capacity { grow(self.count &+ count) }
        return base + self.count
    }

    /// Counts in what was written to `room`: canonical labels with values, in order, after an empty
    /// buffer.
    ///
    /// - Parameter lastName: where the name of the last one lies, from the start.
    @inlinable package mutating func wrote(
        _ count: Int, labels: Int, lastName: Range<Int>, hasMetricName: Bool
    ) {
        self.count = count
        labelCount = labels
        lastNameStart = lastName.lowerBound
        lastNameCount = lastName.count
        self.hasMetricName = hasMetricName
    }

    /// Puts the labels in canonical order.
    ///
    /// - Returns: false when a name occurs twice; the label appended first is kept.
    @inlinable package mutating func seal() -> Bool {
        if isSorted { return true }
        return sort() == nil
    }

    /// Whether the labels came in canonical order, each name once.
    @inlinable package var isSealed: Bool { isSorted }

    /// The bytes so far; canonical after `seal`. Valid until the buffer changes.
    @inlinable package var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base, count: count)
    }

    /// Copies sealed labels into an arena.
    @inlinable package func keep(in arena: inout [UInt8]) -> LabelsRef {
        LabelsRef(slice: arena.keep(bytes), hash: hash64(bytes))
    }

    /// The first name that occurs twice, for a message; call instead of `seal`.
    package mutating func firstDuplicate() -> String? { isSorted ? nil : sort() }

    /// Sorts and returns a name that occurred twice.
    @inline(never) @usableFromInline mutating func sort() -> String? {
        index()
        let memory = base
        func precedes(_ a: Entry, _ b: Entry) -> Bool {
            compareBytes(
                UnsafeRawBufferPointer(start: memory + a.nameStart, count: a.nameCount),
                UnsafeRawBufferPointer(start: memory + b.nameStart, count: b.nameCount)) < 0
        }
        if entries.count <= 48 {
            for i in 1..<max(entries.count, 1) {
                var j = i
                while j > 0, precedes(entries[j], entries[j - 1]) {
                    entries.swapAt(j, j - 1)
                    j -= 1
                }
            }
        } else {
            // Places in memory keep equal names in the order they came in.
            entries.sort { precedes($0, $1) || (!precedes($1, $0) && $0.start < $1.start) }
        }
        if spareCapacity < capacity {
            spare?.deallocate()
            spare = .allocate(byteCount: capacity, alignment: 16)
            spareCapacity = capacity
        }
        guard let sorted = spare else { return nil }
        var written = 0
        var kept = 0
        var duplicate: String?
        var lastName = 0..<0
        for (i, entry) in entries.enumerated() {
            if i > 0, !precedes(entries[i - 1], entry) {
                duplicate =
                    duplicate
                    ?? String(
                        decoding: UnsafeRawBufferPointer(
                            start: memory + entry.nameStart, count: entry.nameCount),
                        as: UTF8.self)
                continue
            }
            (sorted + written).copyMemory(
                from: memory + entry.start, byteCount: entry.end - entry.start)
            let nameStart = written + entry.nameStart - entry.start
            lastName = nameStart..<(nameStart + entry.nameCount)
            written += entry.end - entry.start
            kept += 1
        }
        spare = base
        base = sorted
        swap(&spareCapacity, &capacity)
        count = written
        labelCount = kept
        isSorted = true
        lastNameStart = lastName.lowerBound
        lastNameCount = lastName.count
        return duplicate
    }

    /// Finds the labels in the scratch memory again.
    private mutating func index() {
        entries.removeAll(keepingCapacity: true)
        var reader = ByteReader(UnsafeRawBufferPointer(start: base, count: count))
        while !reader.isAtEnd {
            let start = reader.offset
            // Written by `append`, so it reads back.
            guard let name = try? reader.lengthPrefixed() else { return }
            let nameStart = reader.offset - name.count
            guard (try? reader.lengthPrefixed()) != nil else { return }
            entries.append(
                Entry(
                    start: start, end: reader.offset, nameStart: nameStart, nameCount: name.count))
        }
    }

    /// `{a="b", …}` of what was appended, for messages. Works on labels that are not valid, too.
    package var text: String {
        Labels(canonical: Array(bytes)).description
    }
}

/// Copies as `copyMemory` does, without a call for the short texts that labels are made of.
@inlinable @inline(__always)
func copyText(
    _ source: UnsafeRawPointer, _ count: Int, to target: UnsafeMutableRawPointer
) {
    if count > 32 || count < 4 {
        target.copyMemory(from: source, byteCount: count)
    } else if count >= 16 {
        // Two pieces that overlap cover every length between theirs and twice that.
        typealias Piece = SIMD16<UInt8>
        let end = count &- 16
        let first = source.loadUnaligned(as: Piece.self)
        let last = source.loadUnaligned(fromByteOffset: end, as: Piece.self)
        target.storeBytes(of: first, as: Piece.self)
        target.storeBytes(of: last, toByteOffset: end, as: Piece.self)
    } else if count >= 8 {
        let end = count &- 8
        let first = source.loadUnaligned(as: UInt64.self)
        let last = source.loadUnaligned(fromByteOffset: end, as: UInt64.self)
        target.storeBytes(of: first, as: UInt64.self)
        target.storeBytes(of: last, toByteOffset: end, as: UInt64.self)
    } else {
        let end = count &- 4
        let first = source.loadUnaligned(as: UInt32.self)
        let last = source.loadUnaligned(fromByteOffset: end, as: UInt32.self)
        target.storeBytes(of: first, as: UInt32.self)
        target.storeBytes(of: last, toByteOffset: end, as: UInt32.self)
    }
}
