"""Who may do what, and who somebody is: rights, sign-in by OpenID Connect, Keycloak's set-up."""
