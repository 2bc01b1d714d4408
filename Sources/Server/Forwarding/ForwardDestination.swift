// SPDX-License-Identifier: Apache-2.0
// From an entry of `remote_write` to a sender's settings.

import Base
import Ingest
import Scrape

/// One destination of `remote_write` with the name that it has in metrics and on disk.
struct ForwardDestination: Sendable, Equatable {
    /// What is sent and how.
    var forward: ForwardSettings
    /// The URL with everything in it.
    var url: String
    /// Sent with each request.
    var headers: [NamedText]
    var client: HTTPClientSettings

    /// Greatest figures that are taken as they stand: more would only cost memory.
    private static let maxShards = 1000
    private static let maxSamples = 1_000_000

    init(_ settings: RemoteWriteSettings, name: String, externalLabels: [NamedText]) {
        forward = ForwardSettings(name: name, url: withoutPassword(settings.url))
        forward.version = settings.message == .v1 ? .one : .two
        forward.rules = settings.relabelRules
        forward.externalLabels = externalLabels.map { .init($0.name, $0.value) }
        forward.sendsExemplars = settings.sendsExemplars
        forward.sendsNativeHistograms = settings.sendsNativeHistograms
        forward.sendsMetadata = settings.metadata.isSent
        forward.metadataIntervalSeconds = settings.metadata.sendIntervalSeconds
        forward.metadataPerRequest = max(1, settings.metadata.maxSamplesPerSend)
        let queue = settings.queue
        forward.maxShards = min(queue.maxShards, Self.maxShards)
        forward.minShards = min(queue.minShards, forward.maxShards)
        forward.samplesPerRequest = min(queue.maxSamplesPerSend, Self.maxSamples)
        forward.batchDeadlineSeconds = queue.batchSendDeadlineSeconds
        forward.minBackoffSeconds = queue.minBackoffSeconds
        forward.maxBackoffSeconds = queue.maxBackoffSeconds
        forward.retriesTooManyRequests = queue.retriesOn429
        forward.sampleAgeLimitSeconds = queue.sampleAgeLimitSeconds
        forward.timeoutSeconds = settings.timeoutSeconds
        url = settings.url
        headers = settings.headers
        client = settings.client
    }
}

extension Configuration {
    /// The destinations of `remote_write`. One without a name gets a short hash of its URL, as
    /// upstream, which stays the same while the URL does.
    var forwardDestinations: [ForwardDestination] {
        var names = Set(remoteWrites.map(\.name))
        return remoteWrites.map { settings in
            var name = settings.name
            var copy = ""
            while name.isEmpty {
                let hash = shortHash(settings.url + copy)
                if names.insert(hash).inserted { name = hash }
                copy += "#"
            }
            return ForwardDestination(
                settings, name: name,
                externalLabels: global.externalLabels.map { NamedText($0.name, $0.value) })
        }
    }

    private func shortHash(_ text: String) -> String {
        let digits = String(hash64(Array(text.utf8)) & 0xff_ffff, radix: 16)
        return String(repeating: "0", count: 6 - digits.count) + digits
    }
}
