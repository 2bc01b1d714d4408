// SPDX-License-Identifier: Apache-2.0
// OTLP's errors: google.rpc.Status in the encoding of the request.

import Base

/// A Status body; `code` stays unset in protobuf, as the specification lets it.
func otlpError(_ error: APIError, json: Bool) -> APIResponse {
    let message = String(error.message.prefix(4096))
    if json {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("message", message)
        writer.endObject()
        return .json(writer.bytes, status: error.status)
    }
    var writer = ByteWriter()
    writer.u8(0x12)  // field 2, length-delimited
    writer.lengthPrefixed(message)
    return APIResponse(error.status, contentType: "application/x-protobuf", body: writer.bytes)
}
