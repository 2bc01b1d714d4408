// SPDX-License-Identifier: Apache-2.0
// Samples as queries give them.

import Base
import Telemetry

/// A series with its samples, or with the steps of a range query.
struct RawSeries: Sendable {
    struct Point: Sendable {
        var millis: Int64
        var value: Double
    }
    var labels: Labels
    var points: [Point]

    /// Stored samples in a range of time, both ends inclusive, by a range selector.
    static func read(
        _ selector: String, millis: ClosedRange<Int64>, _ client: LabClient
    ) async throws -> [RawSeries] {
        // A range is open at its start.
        let length = millis.upperBound - millis.lowerBound + 1
        return try await read(
            client, "/api/v1/query",
            [
                ("query", "\(selector)[\(length)ms]"),
                ("time", secondsText(millis.upperBound)),
            ])
    }

    /// Values of an expression at steps.
    static func evaluate(
        _ expression: String, millis: ClosedRange<Int64>, stepMillis: Int64, _ client: LabClient
    ) async throws -> [RawSeries] {
        try await read(
            client, "/api/v1/query_range",
            [
                ("query", expression), ("start", secondsText(millis.lowerBound)),
                ("end", secondsText(millis.upperBound)), ("step", secondsText(stepMillis)),
            ])
    }

    private static func read(
        _ client: LabClient, _ path: String, _ parameters: [(String, String)]
    ) async throws -> [RawSeries] {
        let json = try await client.get(path, parameters)
        guard json.isSuccess else {
            throw LabError("\(path) \(parameters) was answered \(json.status): \(json.text)")
        }
        return try json.body.withUnsafeBytes { bytes in
            var result: [RawSeries] = []
            var reader = JSONReader(bytes)
            try reader.members { name, reader in
                guard name.equals("data") else { return false }
                try reader.members { name, reader in
                    guard name.equals("result") else { return false }
                    try reader.elements { reader in result.append(try RawSeries(&reader)) }
                    return true
                }
                return true
            }
            return result
        }
    }

    private init(_ reader: inout JSONReader) throws {
        var labels = LabelsBuilder()
        var points: [Point] = []
        try reader.members { name, reader in
            if name.equals("metric") {
                try reader.members { name, reader in
                    labels.set(name.string, try reader.string().string)
                    return true
                }
            } else if name.equals("values") {
                try reader.elements { reader in
                    try reader.beginArray()
                    _ = try reader.nextElement()
                    let seconds = try reader.double()
                    _ = try reader.nextElement()
                    let value = try reader.doubleOrString()
                    _ = try reader.nextElement()
                    points.append(
                        Point(millis: Int64((seconds * 1000).rounded()), value: value))
                }
            } else {
                return false
            }
            return true
        }
        self.labels = labels.labels()
        self.points = points
    }
}

/// Seconds with three decimals, as the API takes times.
func secondsText(_ millis: Int64) -> String {
    "\(millis / 1000).\(millis % 1000 / 100)\(millis % 100 / 10)\(millis % 10)"
}

extension JSONReader {
    /// Calls `body` for each member of an object; members that it does not take are skipped.
    mutating func members(
        _ body: (JSONText, inout JSONReader) throws -> Bool
    ) throws {
        try beginObject()
        while let name = try nextKey() {
            if try !body(name, &self) { _ = try skipValue() }
        }
    }

    /// Calls `body` for each element of an array, which it must read.
    mutating func elements(_ body: (inout JSONReader) throws -> Void) throws {
        try beginArray()
        while try nextElement() { try body(&self) }
    }
}
