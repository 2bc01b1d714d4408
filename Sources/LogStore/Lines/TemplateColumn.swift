// SPDX-License-Identifier: Apache-2.0
// Lines as templates and values.

import Base
import Telemetry

/// The lines of a block as what their programs wrote once and what varies; see `LogFormat`.
///
/// The idea is that of CLP (OSDI 2021): a line is the number of its template and the values at the
/// template's places, and values of one place look alike. The layout is our own.
enum TemplateColumn {
    /// Stands for a value in a template's text while templates are told apart.
    private static let mark: UInt8 = 0

    /// Encodes lines, or gives up when they have too little in common.
    ///
    /// - Parameters:
    ///   - lines: the lines back to back.
    ///   - lengths: of each line; one at least.
    ///   - ids: of each line, or empty.
    /// - Returns: nil when there are nearly as many templates as lines.
    /// - Complexity: O(bytes), one hash per line.
    static func encode(
        _ lines: [UInt8], _ lengths: [UInt32], ids: [RowIDs] = []
    ) -> [UInt8]? {
        lines.withUnsafeBytes { lines in
            Rows(lines, lengths, LineRoom())?.encoded(lines, ids, rows: lengths.count)
        }
    }

    /// Lines taken apart.
    struct Rows {
        /// Text of each template with `mark` for each value.
        var texts = TextTable()
        /// Template of each row.
        var templates: [UInt32] = []
        /// Where each row's values begin in `values`.
        var starts: [UInt32] = []
        private let room: LineRoom
        /// Values of each template's lines.
        var places: [Int] = []
        var rowCounts: [Int] = []

        /// - Parameter room: used by nothing else as long as these rows are.
        init?(_ lines: UnsafeRawBufferPointer, _ lengths: [UInt32], _ room: LineRoom) {
            self.room = room
            room.valueCount = 0
            let limit = min(LogFormat.maxTemplates, 16 + lengths.count / 4)
            templates.reserveCapacity(lengths.count)
            starts.reserveCapacity(lengths.count)
            let splitter = LineSplitter(
                longest: Int(lengths.max() ?? 0), most: LogFormat.maxPlaces)
            // Texts lie in its memory.
            defer { withExtendedLifetime(splitter) {} }
            let hasMarks =
                findEither(TemplateColumn.mark, TemplateColumn.mark, in: lines) < lines.count
            var offset = 0
            for length in lengths {
                let range = offset..<(offset + Int(length))
                let first = room.valueCount
                let number = take(range, of: lines, splitter, mayHaveMarks: hasMarks)
                if number == places.count {
                    guard places.count < limit else { return nil }
                    places.append(room.valueCount - first)
                    rowCounts.append(0)
                }
                rowCounts[number] += 1
                templates.append(UInt32(truncatingIfNeeded: number))
                starts.append(UInt32(truncatingIfNeeded: first))
                offset = range.upperBound
            }
        }

        /// Hash of the template that most lines have.
        var commonest: UInt64 {
            guard let number = rowCounts.indices.max(by: { rowCounts[$0] < rowCounts[$1] }) else {
                return 0
            }
            return texts.hash(number)
        }

        /// Appends the values of a line.
        ///
        /// - Returns: the number of its template.
        private mutating func take(
            _ range: Range<Int>, of lines: UnsafeRawBufferPointer, _ splitter: LineSplitter,
            mayHaveMarks: Bool
        ) -> Int {
            let hasMark =
                mayHaveMarks
                && lines[range].contains(TemplateColumn.mark)
            let next = room.next(LogFormat.maxPlaces)
            if !hasMark, let found = splitter.split(range, of: lines, into: next) {
                room.valueCount &+= found.count
                return texts.intern(found.text)
            }
            // A line that has the mark itself, or more values than are worth their columns, is one
            // value as a whole.
            next.storeBytes(
                of: ByteSlice(offset: range.lowerBound, count: range.count), as: ByteSlice.self)
            room.valueCount &+= 1
            return withUnsafeBytes(of: TemplateColumn.mark) { texts.intern($0) }
        }

        /// The first rows as a column of lines.
        ///
        /// - Parameters:
        ///   - ids: of each line, or empty.
        ///   - rows: how many, one at least.
        func encoded(
            _ lines: UnsafeRawBufferPointer, _ ids: [RowIDs], rows count: Int
        ) -> [UInt8] {
            // Values and columns lie in its memory.
            defer { withExtendedLifetime(room) {} }
            let templates = self.templates[..<count]
            // Templates are numbered in the order of their first lines.
            let places = self.places[...Int(templates.max() ?? 0)]
            var rowCounts = self.rowCounts
            if count < self.templates.count {
                rowCounts = [Int](repeating: 0, count: places.count)
                for template in templates { rowCounts[Int(template)] += 1 }
            }
            var out = ByteWriter(reserving: lines.count / 4)
            out.varint(places.count)
            for number in places.indices { write(texts.bytes(number), places[number], &out) }
            writeTemplates(templates, of: places.count, &out)
            // The rows of each template, in order.
            var next = [Int](repeating: 0, count: places.count + 1)
            for number in places.indices { next[number + 1] = next[number] + rowCounts[number] }
            let ends = Array(next.dropFirst())
            var order = [UInt32](repeating: 0, count: templates.count)
            for (row, template) in templates.enumerated() {
                order[next[Int(template)]] = UInt32(truncatingIfNeeded: row)
                next[Int(template)] += 1
            }
            let survey = room.survey(rows: rowCounts.max() ?? 0)
            let (slices, keys) = room.columns(
                places.indices.reduce(0) { max($0, places[$1] * rowCounts[$1]) })
            order.withUnsafeBufferPointer { order in
                for number in places.indices {
                    let rows = UnsafeBufferPointer(
                        rebasing: order[(ends[number] - rowCounts[number])..<ends[number]])
                    gather(rows, places[number], lines, slices, keys)
                    var rowIDs: [RowIDs]?
                    for place in 0..<places[number] {
                        let first = place * rows.count
                        ValueColumn.encode(
                            ValueSlots(
                                slices: slices + first, keys: keys + first, count: rows.count),
                            lines,
                            ids: {
                                if let known = rowIDs { return known }
                                let all = ids.isEmpty ? [] : rows.map { ids[Int($0)] }
                                rowIDs = all
                                return all
                            }, survey, into: &out)
                    }
                }
            }
            return out.bytes
        }

        /// The values of some rows by place, which is a pass over the lines instead of one per place.
        private func gather(
            _ rows: UnsafeBufferPointer<UInt32>, _ places: Int, _ lines: UnsafeRawBufferPointer,
            _ slices: UnsafeMutablePointer<ByteSlice>, _ keys: UnsafeMutablePointer<UInt64>
        ) {
            let values = room.values
            starts.withUnsafeBufferPointer { starts in
                for index in 0..<rows.count {
                    let row = values + Int(starts[Int(rows[index])])
                    var target = index
                    for place in 0..<places {
                        slices[target] = row[place]
                        keys[target] = ValueSlots.key(of: row[place], in: lines)
                        target &+= rows.count
                    }
                }
            }
        }

        private func write(_ text: ArraySlice<UInt8>, _ places: Int, _ out: inout ByteWriter) {
            out.varint(places)
            text.withUnsafeBytes { text in
                var rest = text[...]
                for _ in 0..<places {
                    let piece = rest.prefix { $0 != TemplateColumn.mark }
                    out.lengthPrefixed(UnsafeRawBufferPointer(rebasing: piece))
                    rest = rest[min(piece.endIndex + 1, rest.endIndex)...]
                }
                out.lengthPrefixed(UnsafeRawBufferPointer(rebasing: rest))
            }
        }

        private func writeTemplates(
            _ templates: ArraySlice<UInt32>, of count: Int, _ out: inout ByteWriter
        ) {
            if count == 1 {
                out.u8(LogFormat.Templates.one)
            } else if count <= 256 {
                out.u8(LogFormat.Templates.bytes)
                for template in templates { out.u8(UInt8(truncatingIfNeeded: template)) }
            } else {
                out.u8(LogFormat.Templates.words)
                for template in templates { out.fixed(UInt16(truncatingIfNeeded: template)) }
            }
        }
    }

    /// Puts all lines together again; see `TemplateBlock`.
    static func decode(
        _ bytes: SharedBytes, rows n: Int, total: Int,
        ids: @escaping () throws -> [RowIDs]
    ) throws -> (text: SharedBytes, lines: [ByteSlice]) {
        try TemplateBlock(bytes.buffer, owner: bytes, rows: n, total: total) { _ in try ids() }
            .build(nil)
    }
}

/// Byte strings to dense numbers in order of appearance.
struct TextTable {
    private var arena: [UInt8] = []
    private var entries: [(hash: UInt64, slice: ByteSlice)] = []
    /// Number + 1; 0 = free. Length is a power of two.
    private var slots = [UInt32](repeating: 0, count: 64)

    func bytes(_ number: Int) -> ArraySlice<UInt8> { arena[entries[number].slice.range] }

    func hash(_ number: Int) -> UInt64 { entries[number].hash }

    mutating func intern(_ text: UnsafeRawBufferPointer) -> Int {
        let hash = hash64(text)
        var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[slot] != 0 {
            let number = Int(slots[slot]) - 1
            if entries[number].hash == hash,
                arena.withSlice(entries[number].slice, { equalBytes($0, text) })
            {
                return number
            }
            slot = (slot + 1) & (slots.count - 1)
        }
        entries.append((hash, arena.keep(text)))
        slots[slot] = UInt32(entries.count)
        if entries.count * 4 > slots.count * 3 { grow() }
        return entries.count - 1
    }

    private mutating func grow() {
        slots = [UInt32](repeating: 0, count: slots.count * 2)
        for (number, entry) in entries.enumerated() {
            var slot = Int(truncatingIfNeeded: entry.hash) & (slots.count - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = UInt32(number + 1)
        }
    }
}
