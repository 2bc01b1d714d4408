// SPDX-License-Identifier: Apache-2.0
// From the bytes on the wire to the plain body, bounded, and back.

import Base
import HTTPTypes

/// Content encodings a family may accept.
enum ContentCoding: String, Sendable {
    case identity, gzip, deflate, zstd, snappy
}

extension APIRequest {
    /// The body without its content encoding.
    ///
    /// - Parameters:
    ///   - accepted: what the family takes; anything else is 415.
    ///   - limit: bytes the plain body may have; checked on the declared size and while unpacking.
    func plainBody(accepting accepted: Set<ContentCoding>, limit: Int) throws(APIError) -> [UInt8] {
        let name = trimmed(headers[.contentEncoding] ?? "").lowercased()
        guard let coding = name.isEmpty ? .identity : ContentCoding(rawValue: name),
            accepted.contains(coding)
        else {
            let list = accepted.map(\.rawValue).sorted().joined(separator: ", ")
            throw APIError(
                .unsupportedMediaType,
                "Content-Encoding \"\(name)\" not supported: use one of \(list)")
        }
        let result = body.withUnsafeBytes { bytes -> Result<[UInt8], CompressionError> in
            do throws(CompressionError) {
                switch coding {
                case .identity:
                    guard bytes.count <= limit else { throw .tooLarge(limit: limit) }
                    return .success(body)
                case .gzip: return .success(try Deflate.decompress(bytes, .gzip, limit: limit))
                case .deflate:
                    return .success(try Deflate.decompress(bytes, .deflate, limit: limit))
                case .zstd: return .success(try Zstd.decompress(bytes, limit: limit))
                case .snappy: return .success(try Snappy.decompress(bytes, limit: limit))
                }
            } catch { return .failure(error) }
        }
        switch result {
        case .success(let plain): return plain
        case .failure(.tooLarge(let limit)):
            throw APIError(
                .tooLarge,
                "request body exceeds \(limit) bytes after decompression: send smaller batches")
        case .failure(.malformed(let format)):
            throw APIError(.badData, "request body is not valid \(format) data")
        }
    }
}

extension APIResponse {
    /// Bytes below which compression costs more than it saves.
    private static let smallBody = 1024

    /// Compresses the body with gzip where the client takes that and it is worth it.
    mutating func compress(for request: HTTPFields) {
        guard body.count >= Self.smallBody, headers[.contentEncoding] == nil else { return }
        headers[.vary] = "Accept-Encoding"
        let accepted = (request[.acceptEncoding] ?? "").lowercased().split(separator: ",")
        let takesGzip = accepted.contains { choice in
            let parts = choice.split(separator: ";").map { trimmed($0) }
            guard parts.first == "gzip" || parts.first == "x-gzip" else { return false }
            return !parts.dropFirst().contains {
                ["q=0", "q=0.0", "q=0.00", "q=0.000"].contains($0)
            }
        }
        guard takesGzip else { return }
        body = Deflate.gzip(body)
        headers[.contentEncoding] = "gzip"
    }
}
