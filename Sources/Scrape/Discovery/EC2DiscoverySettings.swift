// SPDX-License-Identifier: Apache-2.0
// `ec2_sd_configs`. Source: prometheus/prometheus `discovery/aws/ec2.go`.

package struct EC2DiscoverySettings: Hashable, Sendable {
    /// Base URL; empty = the region's public one.
    package var endpoint = ""
    /// Empty = from the environment or the instance's own metadata.
    package var region = ""
    package var accessKey = ""
    package var secretKey = ""
    /// Section of the shared credentials file.
    package var profile = ""
    package var roleARN = ""
    package var externalID = ""
    package var refreshSeconds: Double = 60
    package var port = 80
    package var filters: [DiscoveryFilter] = []

    package init() {}

    package func validate() throws(DiscoverySettingsError) {
        for filter in filters where filter.values.isEmpty {
            throw DiscoverySettingsError("EC2 SD configuration filter values cannot be empty")
        }
        try validatePort(port)
        try validateInterval(refreshSeconds)
    }
}
