// SPDX-License-Identifier: Apache-2.0
// Answers whose JSON is made while it is sent.

import Base
import HTTPTypes
import Synchronization
import Telemetry

/// Makes JSON a little at a time, from a result that is complete.
protocol JSONSource: Sendable {
    /// Writes the next part: an element, or some kilobytes of one.
    ///
    /// - Returns: whether there is more.
    mutating func write(into json: inout JSONWriter) -> Bool
}

extension APIResponse {
    /// Bytes up to which an answer is sent in one piece, with its length stated.
    static let wholeBytes = 1 << 18

    /// The JSON of a source: whole when it is short, else in pieces, so that it never exists whole.
    ///
    /// - Parameter share: memory of the result, given back when it is sent or dropped.
    static func json(
        from source: some JSONSource, holding share: ReadBudget.Share? = nil
    ) -> APIResponse {
        var source = source
        var json = JSONWriter(reserving: 1 << 14)
        while source.write(into: &json) {
            guard json.bytes.count < wholeBytes else {
                var response = APIResponse(.ok, contentType: "application/json")
                response.stream = JSONPieces(json, source, share)
                return response
            }
        }
        return .json(json.bytes)
    }
}

/// The pieces of one answer.
private final class JSONPieces<Source: JSONSource>: BodyStream {
    private struct State: Sendable {
        var json: JSONWriter
        /// Nil when all is written.
        var source: Source?
        var share: ReadBudget.Share?
    }
    private let state: Mutex<State>

    /// Bytes from which a piece is sent.
    private static var pieceBytes: Int { 1 << 16 }

    init(_ json: JSONWriter, _ source: Source, _ share: ReadBudget.Share?) {
        state = Mutex(State(json: json, source: source, share: share))
    }

    func next() async throws -> [UInt8]? {
        state.withLock { state in
            while state.json.bytes.count < Self.pieceBytes {
                guard state.source?.write(into: &state.json) ?? false else {
                    state.source = nil
                    break
                }
            }
            let piece = state.json.takeBytes(reserving: Self.pieceBytes + Self.pieceBytes / 8)
            return piece.isEmpty ? nil : piece
        }
    }

    func end() {
        state.withLock { state in
            state.source = nil
            state.share = nil
        }
    }
}
