// SPDX-License-Identifier: Apache-2.0
// A request to delete log lines, and the list of them on disk.

import Base
import LogStore
import Telemetry

/// A request to delete log lines.
struct DeleteRequest: Sendable, Equatable {
    enum Status: UInt8, Sendable {
        /// Written down; its lines are not gone yet. Nobody was told that it was taken.
        case accepted = 0
        /// Readers see none of its lines; some may still be on the disk.
        case received = 1
        /// None of its lines are on the disk.
        case processed = 2
    }
    var id: String
    var tenant: String
    var query: String
    /// Inclusive.
    var startNanos: Int64
    var endNanos: Int64
    var createdNanos: Int64
    var status = Status.accepted
    /// Lines that merges have left out for good, and their bytes. Counted in memory between two
    /// saves: a crash forgets what was counted last.
    var removedRows = 0
    var removedBytes = 0

    var deletion: LogDeletion {
        LogDeletion(
            id: id, range: NanosRange(first: Nanos(startNanos), last: Nanos(endNanos)),
            query: query)
    }
}

/// The file `log-deletes` of a data directory, replaced as a whole:
///
///     magic "TERNDELS" (8) | version u16 = 1 | zero u16 | u32 crc32c(body) | body
///     body: varint count, per request, oldest first:
///       3 × (varint n, text): id, tenant, query | 3 × zigzag nanos: start, end, created |
///       u8 status | varint rows removed | varint bytes removed
enum DeleteRequestFile {
    static let name = "log-deletes"
    static let file = ChecksummedFile("TERNDELS", version: 1, "a list of delete requests")
    /// Most requests that are kept; the oldest that are processed go first.
    static let maxCount = 4096
    /// Most bytes of the file that is read.
    static let maxBytes = 128 << 20

    static func encoded(_ requests: [DeleteRequest]) -> [UInt8] {
        var body = ByteWriter()
        body.varint(requests.count)
        for request in requests {
            body.lengthPrefixed(request.id)
            body.lengthPrefixed(request.tenant)
            body.lengthPrefixed(request.query)
            body.zigzag(request.startNanos)
            body.zigzag(request.endNanos)
            body.zigzag(request.createdNanos)
            body.u8(request.status.rawValue)
            body.varint(request.removedRows)
            body.varint(request.removedBytes)
        }
        return file.framed(body.bytes)
    }

    static func decoded(
        _ bytes: UnsafeRawBufferPointer
    ) throws(MalformedBytes) -> [DeleteRequest] {
        var reader = try file.body(of: bytes)
        var requests: [DeleteRequest] = []
        for _ in 0..<(try reader.length(limit: maxCount, "number of requests")) {
            requests.append(try request(&reader))
        }
        guard reader.isAtEnd else { throw reader.malformed("the end") }
        return requests
    }

    private static func request(
        _ reader: inout ByteReader
    ) throws(MalformedBytes) -> DeleteRequest {
        func text() throws(MalformedBytes) -> String {
            String(decoding: try reader.lengthPrefixed(), as: UTF8.self)
        }
        var request = DeleteRequest(
            id: try text(), tenant: try text(), query: try text(),
            startNanos: try reader.zigzag(), endNanos: try reader.zigzag(),
            createdNanos: try reader.zigzag())
        guard let status = DeleteRequest.Status(rawValue: try reader.u8()) else {
            throw reader.malformed("a status")
        }
        request.status = status
        request.removedRows = try reader.length(limit: .max, "rows removed")
        request.removedBytes = try reader.length(limit: .max, "bytes removed")
        return request
    }

    /// What a directory holds; none when there is no file.
    ///
    /// - Throws: `FileError`, and `MalformedBytes` for a damaged file.
    static func read(_ directory: String, _ files: any FileSystem) throws -> [DeleteRequest] {
        let path = directory + "/" + name
        guard let count = try files.size(path) else { return [] }
        guard count <= maxBytes else {
            throw MalformedBytes(offset: 0, expected: "at most \(maxBytes) bytes")
        }
        let bytes = try files.readAll(path)
        return try bytes.withUnsafeBytes { try decoded($0) }
    }

    static func write(
        _ requests: [DeleteRequest], to directory: String, _ files: any FileSystem
    ) throws(FileError) {
        try files.replace(directory + "/" + name, in: directory, with: encoded(requests))
    }
}
