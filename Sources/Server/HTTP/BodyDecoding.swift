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

    /// Compresses the body with gzip or deflate where the client takes that and it is worth it.
    mutating func compress(for request: HTTPFields) {
        guard !isPlain, stream != nil || body.count >= Self.smallBody,
            headers[.contentEncoding] == nil
        else { return }
        vary("Accept-Encoding")
        let coding = ContentCoding(acceptedBy: request[.acceptEncoding] ?? "")
        guard let coding, coding == .gzip || coding == .deflate else { return }
        if let pieces = stream {
            // Without memory for compressing, plain is what is left.
            guard let packed = CompressedBody(pieces, coding == .gzip ? .gzip : .deflate) else {
                return
            }
            stream = packed
        } else {
            body = coding == .gzip ? Deflate.gzip(body) : Deflate.zlib(body)
        }
        headers[.contentEncoding] = coding.rawValue
    }

    /// Notes a header of the request that the answer depends on.
    mutating func vary(_ name: String) {
        headers[.vary] = headers[.vary].map { $0 + ", " + name } ?? name
    }
}

extension ContentCoding {
    /// The coding of `Accept-Encoding` that the client prefers among those we write; of equal ones
    /// the first. Nil when there is none.
    init?(acceptedBy header: String) {
        var best: (coding: ContentCoding, quality: Double)?
        for choice in header.lowercased().split(separator: ",") {
            let parts = choice.split(separator: ";").map { trimmed($0) }
            let coding: ContentCoding
            switch parts.first {
            case "gzip", "x-gzip": coding = .gzip
            case "deflate": coding = .deflate
            default: continue
            }
            var quality = 1.0
            for part in parts.dropFirst() where part.hasPrefix("q=") {
                quality = parseFloat(String(part.dropFirst(2))) ?? 0
            }
            if quality > best?.quality ?? 0 { best = (coding, quality) }
        }
        guard let best else { return nil }
        self = best.coding
    }
}
