/**
 * A certificate for `localhost` that nobody has signed but itself, for servers of tests.
 *
 * @module
 */

/** The certificate; good until 2126. */
export const certificate = `-----BEGIN CERTIFICATE-----
MIIBmDCCAT6gAwIBAgIUYi/cblLYqAF7jEdREJ7ir7My0xwwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNTIyMDYyN1oYDzIxMjYxMTAx
MjIwNjI3WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARmWVJO8WCAfbc6bXSGDO50Aqcm6ATeI099JWVGS+qIPIPS1rgu5Ntp
+/sIu5EmVVwZeBlHi/HMYYCnFvgBwEjlo2wwajAdBgNVHQ4EFgQUy5DDKVEFzpPo
7vMmeH3oBkW92gMwHwYDVR0jBBgwFoAUy5DDKVEFzpPo7vMmeH3oBkW92gMwGgYD
VR0RBBMwEYIJbG9jYWxob3N0hwR/AAABMAwGA1UdEwEB/wQCMAAwCgYIKoZIzj0E
AwIDSAAwRQIhALOr0TbMYF8ZqgoYabby15OufpRIzVBvU4p3q/8LCI8vAiBBt5Ms
pWvrvYeU1OakXp1apie/RFz59lXVNyp+S/MHiw==
-----END CERTIFICATE-----
`;

/** Its private key, which opens nothing. */
export const certificateKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgTRVcyM24gmewO5OM
devKnXUDy8BKLbGWUwSjREtMUwmhRANCAARmWVJO8WCAfbc6bXSGDO50Aqcm6ATe
I099JWVGS+qIPIPS1rgu5Ntp+/sIu5EmVVwZeBlHi/HMYYCnFvgBwEjl
-----END PRIVATE KEY-----
`;
