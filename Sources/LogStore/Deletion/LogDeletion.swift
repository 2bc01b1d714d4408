// SPDX-License-Identifier: Apache-2.0
// What of a log part is deleted; the byte diagram is also in docs/formats/deletions.md.

import Base
import Storage
import Telemetry

/// Rows that a request deleted: those that its query keeps, of a stretch of time.
package struct LogDeletion: Sendable, Equatable {
    /// The request's.
    package var id: String
    /// Inclusive.
    package var range: NanosRange
    /// A selector with filters; what it means is told by `LogDeletionLanguage`.
    package var query: String

    package init(id: String, range: NanosRange, query: String) {
        self.id = id
        self.range = range
        self.query = query
    }
}

/// What a query covers.
package struct LogDeletionRule: Sendable {
    package var matchers: [LabelMatcher]
    /// Makes a test for lines of streams that match; nil = all lines of them are covered. A test is
    /// used by one thread.
    package var makeTest: (@Sendable () throws -> any LogRowTest)?

    package init(
        matchers: [LabelMatcher], makeTest: (@Sendable () throws -> any LogRowTest)? = nil
    ) {
        self.matchers = matchers
        self.makeTest = makeTest
    }
}

/// Tells whether a row is covered.
package protocol LogRowTest: AnyObject {
    /// - Parameters:
    ///   - streamLabels: canonical labels of the stream.
    ///   - metadata: canonical labels too, empty where there are none.
    func covers(
        line: UnsafeRawBufferPointer, nanos: Int64, streamLabels: UnsafeRawBufferPointer,
        metadata: UnsafeRawBufferPointer
    ) -> Bool
}

/// Makes a rule of a query's text. The store knows no query language: whoever opens it says what
/// the queries of deletions mean.
package typealias LogDeletionLanguage = @Sendable (String) throws -> LogDeletionRule

/// The deletions of one log part, as its descriptor carries them:
///
///     +-----------------------------------------------------------------+
///     | version u8 = 1 | varint count, per deletion:                     |
///     |   varint n, request id (n bytes) | zigzag first nanos |          |
///     |   varint last − first | varint n, query (n bytes)                |
///     +-----------------------------------------------------------------+
///
/// Unlike a metric part's, which name series, these are evaluated when rows are read: a query may
/// have conditions on lines, and finding those lines would mean reading all of them before the
/// request is answered.
struct LogDeletions: Sendable, Equatable {
    static let version: UInt8 = 1
    /// Most deletions of a part: each is looked at for every block.
    static let maxCount = 256
    static let maxIDBytes = 64
    /// Longest query of a deletion, in bytes.
    static let maxQueryBytes = 16 << 10

    var entries: [LogDeletion] = []

    init() {}

    func encoded() -> [UInt8] {
        if entries.isEmpty { return [] }
        var out = ByteWriter()
        out.u8(Self.version)
        out.varint(entries.count)
        for entry in entries {
            let (first, last) = (entry.range.first.rawValue, entry.range.last.rawValue)
            out.lengthPrefixed(entry.id)
            out.zigzag(first)
            out.varint(UInt64(bitPattern: last &- first))
            out.lengthPrefixed(entry.query)
        }
        return out.bytes
    }

    init(_ bytes: [UInt8]) throws(MalformedBytes) {
        if bytes.isEmpty { return }
        let parsed = bytes.withUnsafeBytes { raw -> Result<[LogDeletion], MalformedBytes> in
            var reader = ByteReader(raw)
            do throws(MalformedBytes) {
                return .success(try Self.entries(&reader))
            } catch { return .failure(error) }
        }
        entries = try parsed.get()
    }

    private static func entries(
        _ reader: inout ByteReader
    ) throws(MalformedBytes) -> [LogDeletion] {
        guard try reader.u8() == version else { throw reader.malformed("version \(version)") }
        var entries: [LogDeletion] = []
        for _ in 0..<(try reader.length(limit: maxCount, "number of deletions")) {
            let id = try reader.lengthPrefixed()
            guard id.count <= maxIDBytes else { throw reader.malformed("a request id") }
            let first = try reader.zigzag()
            let last = first &+ Int64(bitPattern: try reader.varint())
            guard last >= first else { throw reader.malformed("a range of times") }
            let query = try reader.lengthPrefixed()
            guard query.count <= maxQueryBytes else { throw reader.malformed("a query") }
            entries.append(
                LogDeletion(
                    id: String(decoding: id, as: UTF8.self),
                    range: NanosRange(first: Nanos(first), last: Nanos(last)),
                    query: String(decoding: query, as: UTF8.self)))
        }
        guard reader.isAtEnd else { throw reader.malformed("the end of the deletions") }
        return entries
    }
}

/// Rows that merging left out for good.
package struct LogRemoval: Sendable, Equatable {
    package var rows = 0
    /// Of lines and metadata, before compression.
    package var bytes = 0

    package init(rows: Int = 0, bytes: Int = 0) {
        self.rows = rows
        self.bytes = bytes
    }

    static func + (a: LogRemoval, b: LogRemoval) -> LogRemoval {
        LogRemoval(rows: a.rows + b.rows, bytes: a.bytes + b.bytes)
    }
}
