// SPDX-License-Identifier: Apache-2.0
// Templated lines of a block, searched and rebuilt row by row.

import Base
import Telemetry

/// Lines kept as templates and values, opened but not rebuilt. Belongs to one thread.
///
/// A needle is looked for in the templates first: where its bytes lie in one template's own text, all
/// its rows have it; where it can only lie across values, just the columns of those places are
/// looked at; mostly it lies nowhere. Only rows that are wanted in the end are put together.
final class TemplateBlock {
    struct Template {
        /// Values of its lines; it has one piece of text more.
        var places: Int
        var firstPiece: Int
        /// Of its first place among all columns.
        var firstColumn: Int
        var rows = 0
    }
    /// Template of each row.
    struct Numbers {
        /// 0, 1 or 2 bytes for each.
        var width: Int
        var bytes: UnsafeRawBufferPointer

        @inline(__always)
        subscript(row: Int) -> Int {
            switch width {
            case 0: 0
            case 1: Int(bytes[row])
            default: Int(bytes[2 &* row]) | Int(bytes[2 &* row &+ 1]) &<< 8
            }
        }

        /// How many of the first rows have each number; nil when one is not below `templates`, of which
        /// there is one at least.
        func counts(rows: Int, templates: Int) -> [Int]? {
            var counts = [Int](repeating: 0, count: templates)
            if width == 0 {
                counts[0] = rows
                return counts
            }
            let isInside = counts.withUnsafeMutableBufferPointer { counts in
                for row in 0..<rows {
                    let number = self[row]
                    guard number < templates else { return false }
                    counts[number] &+= 1
                }
                return true
            }
            return isInside ? counts : nil
        }
    }

    /// Keeps `bytes`.
    private let owner: SharedBytes
    private let bytes: UnsafeRawBufferPointer
    let rows: Int
    /// Bytes of all lines.
    let total: Int
    private(set) var templates: [Template] = []
    /// Text of all templates around their places.
    private(set) var pieces: [UnsafeRawBufferPointer] = []
    let numbers: Numbers
    private let columnStart: Int
    private var foundColumns: [ValueView]?
    private var foundIDs: [RowIDs]?
    private let readIDs: ([UInt32]?) throws -> [RowIDs]

    /// - Parameters:
    ///   - bytes: a column of `LogFormat`, inside memory that `owner` keeps alive.
    ///   - n: lines, one at least.
    ///   - total: bytes of all lines.
    ///   - ids: of each line; asked for when a value is one, for some lines, ascending, or all (nil):
    ///     those of other lines may be missing.
    /// - Throws: `MalformedBytes`; values are checked when they are read.
    init(
        _ bytes: UnsafeRawBufferPointer, owner: SharedBytes, rows n: Int, total: Int,
        ids: @escaping ([UInt32]?) throws -> [RowIDs]
    ) throws(MalformedBytes) {
        self.owner = owner
        self.bytes = bytes
        rows = n
        self.total = total
        readIDs = ids
        var reader = ByteReader(bytes)
        let count = try reader.length(limit: LogFormat.maxTemplates, "templates")
        guard count > 0 else { throw reader.malformed("a template") }
        templates.reserveCapacity(count)
        var column = 0
        for _ in 0..<count {
            let places = try reader.length(limit: LogFormat.maxPlaces, "values of a line")
            templates.append(
                Template(places: places, firstPiece: pieces.count, firstColumn: column))
            for _ in 0...places { pieces.append(try reader.lengthPrefixed()) }
            column += places
        }
        let kind = try reader.u8()
        guard kind <= LogFormat.Templates.words else {
            throw reader.malformed("kind of template numbers")
        }
        numbers = Numbers(width: Int(kind), bytes: try reader.bytes(n * Int(kind)))
        columnStart = reader.offset
        guard let rowCounts = numbers.counts(rows: n, templates: count) else {
            throw reader.malformed("numbers of \(count) templates")
        }
        for (template, rows) in rowCounts.enumerated() { templates[template].rows = rows }
    }

    /// The columns of all places, found at first use.
    func columns() throws(MalformedBytes) -> [ValueView] {
        if let foundColumns { return foundColumns }
        var reader = ByteReader(bytes)
        try reader.skip(columnStart)
        var columns: [ValueView] = []
        columns.reserveCapacity(templates.reduce(0) { $0 + $1.places })
        for template in templates {
            for _ in 0..<template.places {
                columns.append(try ValueView(&reader, template.rows))
            }
        }
        guard reader.isAtEnd else { throw reader.malformed("end of the lines") }
        foundColumns = columns
        return columns
    }

    /// Ids of all rows.
    func ids() throws -> [RowIDs] {
        if let foundIDs { return foundIDs }
        let ids = try ids(of: nil)
        foundIDs = ids
        return ids
    }

    private func ids(of wanted: [UInt32]?) throws -> [RowIDs] {
        let ids = try readIDs(wanted)
        guard ids.count == rows else { throw ByteReader(bytes).malformed("ids of the rows") }
        return ids
    }

    /// Ids of the rows of one template, in order.
    func ids(of template: Int) throws -> [RowIDs] {
        let all = try ids()
        if templates.count == 1 { return all }
        return (0..<rows).compactMap { numbers[$0] == template ? all[$0] : nil }
    }

    // MARK: - Rebuilding

    /// Puts lines together.
    ///
    /// - Parameter selection: rows, ascending; nil = all.
    /// - Returns: the lines back to back, and for each row where its line lies; empty for rows that
    ///   are not selected.
    /// - Throws: `MalformedBytes`, also when all lines do not come to `total`.
    func build(_ selection: [UInt32]?) throws -> (text: SharedBytes, lines: [ByteSlice]) {
        let columns = try columns()
        let rowIDs: [RowIDs] =
            if !columns.contains(where: \.needsIDs) {
                []
            } else if let selection, foundIDs == nil {
                try ids(of: selection)
            } else {
                try ids()
            }
        var (cursors, firstCursors) = try cursors(columns, selection)
        var lines = [ByteSlice](repeating: .empty, count: rows)
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(total, 1), alignment: 16)
        var written = 0
        do throws(MalformedBytes) {
            guard let base = memory.baseAddress else {
                throw ByteReader(bytes).malformed("memory")
            }
            var out = LineBuffer(base, capacity: total)
            try cursors.withUnsafeMutableBufferPointer { all throws(MalformedBytes) in
                try firstCursors.withUnsafeBufferPointer { first throws(MalformedBytes) in
                    let cursors = Cursors(all: all, first: first)
                    try pieces.withUnsafeBufferPointer { pieces throws(MalformedBytes) in
                        if let selection {
                            try build(selection, cursors, pieces, rowIDs, &lines, &out)
                        } else {
                            for row in 0..<rows {
                                try build(row, cursors, pieces, rowIDs, &lines, &out)
                            }
                        }
                    }
                }
            }
            guard selection != nil || out.count == total else {
                throw ByteReader(bytes).malformed("lines of \(total) bytes")
            }
            written = out.count
        } catch {
            memory.deallocate()
            throw error
        }
        let text = SharedBytes(
            UnsafeRawBufferPointer(start: memory.baseAddress, count: written),
            release: { memory.deallocate() })
        return (text, lines)
    }

    /// Cursors of the templates that are wanted.
    private struct Cursors {
        var all: UnsafeMutableBufferPointer<ValueCursor>
        /// By template, the cursor of its first place.
        var first: UnsafeBufferPointer<Int>
    }

    private func cursors(
        _ columns: [ValueView], _ selection: [UInt32]?
    ) throws(MalformedBytes) -> (all: [ValueCursor], first: [Int]) {
        var isWanted = [Bool](repeating: selection == nil, count: templates.count)
        for row in selection ?? [] { isWanted[numbers[Int(row)]] = true }
        var cursors: [ValueCursor] = []
        var first = [Int](repeating: 0, count: templates.count)
        for (number, template) in templates.enumerated() where isWanted[number] {
            first[number] = cursors.count
            for column in template.firstColumn..<(template.firstColumn + template.places) {
                cursors.append(try ValueCursor(columns[column]))
            }
        }
        return (cursors, first)
    }

    @inline(__always)
    private func build(
        _ row: Int, _ cursors: Cursors,
        _ pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>, _ rowIDs: [RowIDs],
        _ lines: inout [ByteSlice], _ out: inout LineBuffer
    ) throws(MalformedBytes) {
        let start = out.count
        let number = numbers[row]
        let template = templates[number]
        let first = cursors.first[number]
        try out.append(pieces[template.firstPiece])
        for place in 0..<template.places {
            try cursors.all[first &+ place].next(into: &out, ids: rowIDs[row])
            try out.append(pieces[template.firstPiece &+ place &+ 1])
        }
        lines[row] = ByteSlice(offset: start, count: out.count &- start)
    }

    private func build(
        _ selection: [UInt32], _ cursors: Cursors,
        _ pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>, _ rowIDs: [RowIDs],
        _ lines: inout [ByteSlice], _ out: inout LineBuffer
    ) throws(MalformedBytes) {
        // Rows of each template that lie between the last one built and the next.
        var passed = [Int](repeating: 0, count: templates.count)
        var next = 0
        for selected in selection {
            let row = Int(selected)
            while next < row {
                passed[numbers[next]] &+= 1
                next &+= 1
            }
            next = row + 1
            let template = numbers[row]
            if passed[template] > 0 {
                let first = cursors.first[template]
                for place in 0..<templates[template].places {
                    try cursors.all[first &+ place].skip(passed[template])
                }
                passed[template] = 0
            }
            try build(row, cursors, pieces, rowIDs, &lines, &out)
        }
    }
}
