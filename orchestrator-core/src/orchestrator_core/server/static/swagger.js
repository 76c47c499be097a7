"use strict";
// `validatorUrl` null: Swagger UI would otherwise send the document to a validator on the internet.
window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger",
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: false,
});
